"""What moved, how far, and how it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.verdicts import Verdict
from pipelines.drift.calibration import Calibration
from pipelines.drift.comparison import Floats, Sample, Tested, moved
from pipelines.drift.measures import BY_NAME, EMBEDDING

DRIFT, NO_DRIFT = "drift", "no_drift"
USUAL = (2.5, 97.5)  # percentiles of the corpus that new images are told to lie beyond
DEVIATION = 1.3489795003921634  # interquartile range of a normal distribution, in standard deviations
EMBEDDING_TITLE = "what the images show (the encoder's embedding)"

DRIFT_TABLE = pa.schema(
    [
        ("measure", pa.string()),
        ("moved", pa.bool_()),
        ("statistic", pa.float64()),
        ("by_chance", pa.float64()),
        ("p", pa.float64()),
        *((name, pa.float64()) for name in ("new_median", "corpus_median", "shift", "beyond")),
    ]
)


@dataclass(frozen=True)
class Finding:
    """One measure of the new images against the corpus.

    Attributes:
        measure: its name.
        moved: whether it differs by more than the threshold takes for chance.
        tested: the test's result.
        by_chance: statistic that random parts of the corpus rarely pass, see `Calibration`.
        new_median, corpus_median: medians; None for embeddings, as `shift` is.
        shift: difference of the medians in deviations of the corpus (interquartile range over 1.349); None
            where the corpus has none.
        beyond: share of the new images that lie outside the middle 95 % of the corpus.
    """

    measure: str
    moved: bool
    tested: Tested
    by_chance: float
    new_median: float | None = None
    corpus_median: float | None = None
    shift: float | None = None
    beyond: float | None = None

    def row(self) -> dict[str, Any]:
        """A row of `DRIFT_TABLE`."""
        about = {name: getattr(self, name) for name in DRIFT_TABLE.names if hasattr(self, name)}
        return {**about, "statistic": self.tested.statistic, "p": self.tested.p}

    @property
    def title(self) -> str:
        """The measure, as people read it."""
        return EMBEDDING_TITLE if self.measure == EMBEDDING else BY_NAME[self.measure].title

    def sentence(self) -> str:
        """How far it moved."""
        statistic, chance = self.tested.statistic, self.by_chance
        if self.new_median is None or self.corpus_median is None or self.beyond is None:
            return (
                f"What the images show has moved: energy coefficient {statistic:.3f}, where random parts of "
                f"the corpus stay below {chance:.3f} (0 is the same, 1 wholly apart)."
            )
        measure = BY_NAME[self.measure]
        digits = measure.digits
        far = f"{self.new_median:.{digits}f} instead of {self.corpus_median:.{digits}f} in the median"
        if self.shift is not None:
            far += f", {self.shift:+.1f} deviations of the corpus"
        difference = self.new_median - self.corpus_median
        changed = "spread otherwise"
        if round(difference, digits):
            changed = measure.more if difference > 0 else measure.less
        return (
            f"The new images are {changed}: {measure.title} {far}; {100 * self.beyond:.0f} % of them lie "
            f"beyond the middle 95 % of the corpus; the distributions are {statistic:.2f} apart, where "
            f"random parts of the corpus stay below {chance:.2f}."
        )


def findings(
    new: Sample, old: Sample, tested: Mapping[str, Tested], calibration: Calibration
) -> list[Finding]:
    """Every measure, those that moved first, the surest first of all."""
    first = moved(tested, calibration.threshold)
    rest = sorted((name for name in tested if name not in first), key=lambda name: tested[name].p)
    return [_finding(name, name in first, new, old, tested[name], calibration) for name in (*first, *rest)]


def _finding(
    name: str, has_moved: bool, new: Sample, old: Sample, tested: Tested, calibration: Calibration
) -> Finding:
    chance = calibration.by_chance[name]
    if name == EMBEDDING:
        return Finding(name, has_moved, tested, chance)
    here, there = new.measures[name], old.measures[name]
    low, high = np.percentile(there, USUAL)
    quarter, three = np.percentile(there, (25, 75))
    deviation = (three - quarter) / DEVIATION
    difference = float(np.median(here) - np.median(there))
    return Finding(
        name,
        has_moved,
        tested,
        chance,
        new_median=float(np.median(here)),
        corpus_median=float(np.median(there)),
        shift=difference / deviation if deviation > 0 else None,
        beyond=float(((here < low) | (here > high)).mean()),
    )


def verdict_of(found: Sequence[Finding], calibration: Calibration) -> Verdict:
    """Whether the new images are still those of the corpus, in words."""
    sure = f"{calibration.new} new images against {calibration.old} of the corpus"
    said = [finding.sentence() for finding in found if finding.moved]
    if said:
        return Verdict(DRIFT, f"Drift, by {sure}. {' '.join(said)} {alarms_sentence(calibration)}")
    closest = min(found, key=lambda finding: finding.tested.p)
    return Verdict(
        NO_DRIFT,
        f"No drift found, by {sure}: nothing moved beyond what random parts of the corpus do (closest: "
        f"{closest.title}, p {closest.tested.p:.2g} where an alarm needs less than "
        f"{calibration.threshold:.2g}). {alarms_sentence(calibration)}",
    )


def alarms_sentence(calibration: Calibration) -> str:
    """The rate of false alarms, as it was measured."""
    return (
        f"False alarms: {calibration.alarms} of {calibration.splits} random parts of the corpus, held "
        f"against the rest of it, alarmed ({100 * calibration.share:.1f} %, 95 % interval "
        f"{100 * calibration.low:.1f} to {100 * calibration.high:.1f} %)."
    )


def far_images(name: str, new: Sample, old: Sample) -> tuple[list[int], list[int]]:
    """Rows of the new images that show a move most, and of the corpus' most usual ones, best first.

    Args:
        name: the measure.
        new, old: the two sets.
    """
    if name == EMBEDDING:
        towards = new.embeddings.mean(0) - old.embeddings.mean(0)
        here, there = new.embeddings @ towards, old.embeddings @ towards
        return np.argsort(-here, kind="stable").tolist(), np.argsort(there, kind="stable").tolist()
    here, there = new.measures[name], old.measures[name]
    middle = float(np.median(there))
    # Typical ones of what is new: beside the median of those on the side to which they moved.
    aim = _typical(here, middle)
    return (
        np.argsort(np.abs(here - aim), kind="stable").tolist(),
        np.argsort(np.abs(there - middle), kind="stable").tolist(),
    )


def _typical(values: Floats, usual: float) -> float:
    side = values >= usual if np.median(values) >= usual else values <= usual
    return float(np.median(values[side])) if side.any() else float(np.median(values))
