"""What a gain study has measured so far: figures of every training, by data set, arm and seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.boxes import BoxShares
from tuning.gain.section import CEILING, Arm
from tuning.gain.statistics import PairedGain, paired_gain

METRICS = ("map50", "map50_95")


@dataclass
class ArmResult:
    """An arm on a data set.

    Attributes:
        figures: by seed, the shares of `METRICS`.
        labelled, test_boxes: images with objects finetuned on, and true boxes measured on; 0 before the first
            seed.
        not_run: reason, where it could not be run.
    """

    figures: dict[int, dict[str, float]] = field(default_factory=dict)
    labelled: int = 0
    test_boxes: int = 0
    not_run: str | None = None

    def by_seed(self, metric: str) -> dict[int, float]:
        """One figure by seed."""
        return {seed: row[metric] for seed, row in self.figures.items()}


@dataclass
class SetResult:
    """A data set's results.

    Attributes:
        name: name of the data set.
        arms: results by arm.
        defective: share of the labelled training images that show a defect; None before it is known.
        shares: quality of the boxes by what is learnt from (`Arm.learnt`), where it is known.
    """

    name: str
    arms: dict[Arm, ArmResult]
    defective: float | None = None
    shares: dict[str | None, BoxShares] = field(default_factory=dict)

    @classmethod
    def empty(cls, name: str, arms: Sequence[Arm], not_run: Mapping[str | None, str]) -> "SetResult":
        """Nothing measured yet.

        Args:
            name: name of the data set.
            arms: the study's arms.
            not_run: reason by `Arm.learnt`, for those that can't be run.
        """
        return cls(name, {arm: ArmResult(not_run=not_run.get(arm.learnt)) for arm in arms})

    def leave_out(self, arm: Arm, reason: str) -> None:
        """Note why an arm can't be run; without a start alone, the arms that it is the pair of are none.

        Args:
            arm: the arm that failed.
            reason: the reason.
        """
        for other, result in self.arms.items():
            if other == arm or (other.paired and other.alone == arm and not result.figures):
                result.not_run = reason

    def gain(self, arm: Arm, metric: str) -> PairedGain | None:
        """The arm against its start alone; None where no seed has both."""
        return paired_gain(self.arms[arm].by_seed(metric), self.arms[arm.alone].by_seed(metric))

    def ceiling(self, arm: Arm, metric: str) -> PairedGain | None:
        """The gain of true boxes from the same start, labels and epochs; None where it is not known."""
        other = arm._replace(source=CEILING, rounds=1, finetune_rounds=1)
        return self.gain(other, metric) if other in self.arms else None
