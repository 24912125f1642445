"""What a gain study compares: starts, sources of boxes, label counts, lengths of finetuning, seeds."""

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from cluster.config import Section
from training.starts import AGBP, AGSSP, SCRATCH, StartWord
from tuning.presets import over_preset, shipped_preset

Source = Literal["painted", "maps", "both", "auto", "labels"]
CEILING: Source = "labels"
Rounds = Annotated[int, Field(ge=1, le=5)]


class Arm(NamedTuple):
    """All seeds of one column of the comparison.

    Attributes:
        limit: number of labelled images; None takes all of the training half.
        epochs: the finetuning's epochs.
        start: name of the start.
        source: source of the pretraining's boxes; None is the start as it is.
        rounds: rounds of the pretraining, see `detector.rounds`.
        finetune_rounds: rounds of the finetuning, see `finetune.rounds`.
    """

    limit: int | None
    epochs: int
    start: str
    source: Source | None
    rounds: int = 1
    finetune_rounds: int = 1

    @property
    def alone(self) -> "Arm":
        """The same start as it is, on its labels alone, which the arm is paired with."""
        return self._replace(source=None, rounds=1, finetune_rounds=1)

    @property
    def paired(self) -> bool:
        """Whether it is compared with another: it has learnt from images without labels."""
        return self != self.alone

    @property
    def is_ceiling(self) -> bool:
        """Whether it has learnt from the true boxes of the whole training half."""
        return self.source == CEILING

    @property
    def learnt(self) -> str | None:
        """What the pretraining learns from, with its rounds where they are several; None without any."""
        return self.source if self.rounds == 1 else f"{self.source}, {self.rounds} rounds"

    @property
    def labels(self) -> str:
        """The label count in words."""
        return "all" if self.limit is None else str(self.limit)


class GainSection(Section):
    """The gain study.

    Attributes:
        starts: by name; each is finetuned as it is, and after pretraining on the boxes of each source.
            `scratch`, `coco` and `imagenet` (published by the detector's library), a file, stage directory or
            registered model, see `starts.resolve_start`.
        sources: boxes that the detector is pretrained on, see `detector.boxes`; `labels`, the true boxes of
            the whole training half, is the ceiling: no pseudo-boxes could teach more. None of them: the
            starts are only finetuned as they are.
        rounds: numbers of rounds of the pretraining, see `detector.rounds`; true boxes have one.
        finetune_rounds: numbers of rounds of the finetuning, see `finetune.rounds`: from two on it learns
            images without labels too, pretrained or not; after true boxes it has one.
        limits: numbers of labelled images to finetune on; null takes all of the training half.
        epochs: lengths of the finetuning.
        seeds: of label choice, new layers, order and augmentation, and of the pretraining; each makes a pair.
        agbp: starts whose backbone is pretrained on the maps before the detector learns from `maps` or
            `both`: `scratch`, those from random weights; `all`; or `none`.
        metric: figure that decides, `map50` or `map50_95`; the other is shown beside it.
    """

    starts: dict[str, StartWord] = Field(min_length=1)
    sources: tuple[Source, ...] = ("painted", "maps", "labels")
    rounds: tuple[Rounds, ...] = Field(default=(1,), min_length=1)
    finetune_rounds: tuple[Rounds, ...] = Field(default=(1,), min_length=1)
    limits: tuple[Annotated[int, Field(ge=1)] | None, ...] = Field(default=(50,), min_length=1)
    epochs: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = Field(default=(32,), min_length=1)
    # The exact test looks at 2 to the power of their number.
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        default=(0, 1, 2), min_length=1, max_length=16
    )
    agbp: Literal["scratch", "all", "none"] = "scratch"
    metric: Literal["map50", "map50_95"] = "map50"

    @model_validator(mode="after")
    def _consistent(self) -> "GainSection":
        for name in ("sources", "rounds", "finetune_rounds", "limits", "epochs", "seeds"):
            entries = getattr(self, name)
            if len(set(entries)) < len(entries):
                raise ValueError(f"{name} must all be different")
        if 1 not in self.finetune_rounds:
            raise ValueError("finetune_rounds must have 1, which the others are compared with")
        if unfit := [name for name, word in self.starts.items() if word in (AGBP, AGSSP)]:
            raise ValueError(f"starts.{unfit[0]} is what the study makes; name what comes before, e.g. coco")
        return self

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Every arm, in the order of the table."""
        learnt: list[tuple[Source | None, int, int]] = [(None, 1, number) for number in self.finetune_rounds]
        for source in self.sources:
            rounds = ((1,), (1,)) if source == CEILING else (self.rounds, self.finetune_rounds)
            learnt += [(source, *numbers) for numbers in product(*rounds)]
        combined = product(self.limits, self.epochs, self.starts, learnt)
        return tuple(Arm(limit, epochs, start, *each) for limit, epochs, start, each in combined)

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides the table, JSON-able; one round as in former versions, which had no key for it."""
        once = {name for name in ("rounds", "finetune_rounds") if getattr(self, name) == (1,)}
        return self.model_dump(mode="json", exclude=once)

    def pretrains_backbone(self, arm: Arm) -> bool:
        """Whether AGBP comes before the arm's detector."""
        if arm.source not in ("maps", "both"):
            return False
        return self.agbp == "all" or (self.agbp == "scratch" and self.starts[arm.start] == SCRATCH)


class GainPreset(Section):
    """How large a study is run.

    Attributes:
        summary: one sentence that describes the preset.
        project: settings of the `Project` under the user's own.
        gain: settings of `GainSection`.
    """

    summary: str
    project: dict[str, Any]
    gain: dict[str, Any]


def gain_preset(name: str) -> GainPreset:
    """The preset of a name.

    Raises:
        UserError: there is none.
    """
    return shipped_preset(GainPreset, name, room="tuning.gain", study="The gain study")


def gain_section(preset: GainPreset, words: Mapping[str, Any]) -> GainSection:
    """The preset's study with the user's settings laid over it; the user's `starts` replace the preset's.

    Raises:
        UserError: see `validate`.
    """
    return over_preset(GainSection, preset.gain, words, "gain")
