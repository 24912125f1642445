"""What a forecast has measured, and what follows: the curve of each start, or why there is none."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import stats

from cluster.verdicts import FEWEST_BOXES, FEWEST_DRAWN
from tuning.forecast.curve import FREE, DrawnCurve, drawn_curve
from tuning.forecast.section import LEAST_SIZES

CHANCE = 0.01  # figures of which nothing is above find nothing
LEVEL = 0.05  # p of the slope over log n, above which a curve is flat


@dataclass(frozen=True)
class Run:
    """One training's figure.

    Attributes:
        size: labelled images with objects that it learnt from.
        seed: seed of the subset and the training.
        figure: share of the metric, 0–1.
        images: (B,) how it moves with the test images; None where that is not known.
    """

    size: int
    seed: int
    figure: float
    images: npt.NDArray[np.float64] | None = None


@dataclass
class StartResult:
    """A start's runs.

    Attributes:
        name: name of the start.
        runs: the runs so far.
        test_boxes, test_images: true boxes measured on, and images that have any; None before the first run.
        not_run: reason, where it could not be run.
    """

    name: str
    runs: list[Run] = field(default_factory=list)
    test_boxes: int | None = None
    test_images: int | None = None
    not_run: str | None = None
    _fitted: tuple[int, DrawnCurve] | None = field(default=None, init=False, repr=False)

    @property
    def sizes(self) -> list[int]:
        """The different sizes, rising."""
        return sorted({run.size for run in self.runs})

    def unfit(self) -> str | None:
        """Why no curve means anything; None where one may."""
        sizes = self.sizes
        if len(sizes) < LEAST_SIZES or len(self.runs) <= FREE:
            return (
                f"too few points: {len(self.runs)} trainings with {len(sizes)} sizes, and a curve needs "
                f"{FREE + 1} with {LEAST_SIZES}"
            )
        if self.test_boxes is not None and self.test_boxes < FEWEST_BOXES:
            return f"too few test boxes: {self.test_boxes}, at least {FEWEST_BOXES} are needed"
        if self.test_images is not None and self.test_images < FEWEST_DRAWN:
            return f"too few test images with objects: {self.test_images}, at least {FEWEST_DRAWN} are needed"
        if max(run.figure for run in self.runs) <= CHANCE:
            return "nothing is found with any number of labels: train longer, or from another start"
        rise = stats.linregress(
            np.log([run.size for run in self.runs]), [run.figure for run in self.runs], alternative="greater"
        )
        if not rise.pvalue < LEVEL:  # NaN where all figures are alike
            return (
                f"flat: from {sizes[0]} to {sizes[-1]} labels the figure rises by no more than its noise "
                f"(slope over log n, p = {rise.pvalue:.2g})"
            )
        return None

    @property
    def curve(self) -> DrawnCurve | None:
        """The curve of the runs so far, fitted once; None where `unfit` has a reason."""
        if self.unfit() is not None:
            return None
        if self._fitted is None or self._fitted[0] != len(self.runs):
            runs = sorted(self.runs, key=lambda run: (run.size, run.seed))
            moved = [run.images for run in runs if run.images is not None]
            self._fitted = (
                len(runs),
                drawn_curve(
                    np.array([run.size for run in runs], np.float64),
                    np.array([run.figure for run in runs]),
                    images=np.stack(moved, axis=1) if len(moved) == len(runs) else None,
                ),
            )
        return self._fitted[1]
