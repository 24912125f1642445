"""Which start of a finetuning is ahead, and whether the test split is enough to say so."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.verdicts.bootstrap import FEWEST_DRAWN
from cluster.verdicts.verdict import Verdict
from cluster.verdicts.zero import all_zero, known

LEADING = "mAP@0.5:0.95"  # decides; mAP@0.5 is told beside it
FEWEST_BOXES = 30  # true test boxes; with fewer a single box moves the AP by points


@dataclass(frozen=True)
class StartFigures:
    """One start's figures, 0…1; NaN or None where there was nothing to measure."""

    name: str
    map50_95: float | None
    map50: float | None


@dataclass(frozen=True)
class Comparison:
    """What may be said of two or more starts.

    Attributes:
        verdict: `gain`, `tie`, `loss`, `few` (too few boxes or images), `zero` (no start finds anything) or
            `none` (nothing to compare).
        sentence: the claim, by the leading metric.
    """

    verdict: str
    sentence: str


def compare_starts(
    starts: Sequence[StartFigures],
    *,
    baseline: str = "scratch",
    boxes: int | None = None,
    interval: tuple[float, float] | None = None,
) -> Comparison:
    """The best start against the baseline by mAP@0.5:0.95.

    Args:
        starts: at least one, in any order.
        baseline: name of the start that the others are to beat.
        boxes: number of true boxes they were measured on; None where unknown.
        interval: 95 % interval of (best other start - baseline), as shares of 1; None where the images are
            too few for one, so that nothing is claimed. Only one that includes 0 makes the two level.

    Raises:
        ValueError: no start.
    """
    if not starts:
        raise ValueError("there is no start to compare")
    if all_zero([figure for start in starts for figure in (start.map50, start.map50_95)]):
        whose = "No start" if len(starts) > 1 else f"The detector from {starts[0].name}"
        verb = "finds anything" if len(starts) > 1 else "finds nothing"
        return Comparison("zero", f"{whose} {verb}: mAP is 0.0 on the test split")
    if boxes is not None and boxes < FEWEST_BOXES:
        count = "1 box" if boxes == 1 else f"{boxes} boxes"
        return Comparison(
            "few",
            f"Too few test boxes for a claim: the test split has {count}, at least {FEWEST_BOXES} are needed",
        )
    best = best_start(starts, baseline)
    own = next((start for start in starts if start.name == baseline), None)
    if best is None or own is None:
        only = best or own or starts[0]
        return Comparison("none", f"{only.name} reaches {known(only.map50_95) * 100:.1f} {LEADING}")
    points = (known(best.map50_95) - known(own.map50_95)) * 100
    coarse = (known(best.map50) - known(own.map50)) * 100
    beside = _beside(points, coarse, best.name, baseline)
    if interval is not None and interval[0] <= 0 <= interval[1]:
        low, high = (end * 100 for end in interval)
        return Comparison(
            "tie",
            f"{best.name} and {baseline} end level ({points:+.1f} mAP points) at {LEADING}, "
            f"95 % interval {low:+.1f} to {high:+.1f}{beside}",
        )
    if interval is None and points != 0:
        return Comparison(
            "few",
            f"Too few test images for a claim: {best.name} ends {points:+.1f} mAP points ({LEADING}) from "
            f"{baseline}, and at least {FEWEST_DRAWN} images with a true box are needed to tell that from "
            "chance",
        )
    if points > 0:
        return Comparison(
            "gain", f"{best.name} beats {baseline} by {points:.1f} mAP points ({LEADING}){beside}"
        )
    if points < 0:
        return Comparison(
            "loss",
            f"No start beat {baseline}: {best.name} ends {-points:.1f} mAP points ({LEADING}) behind{beside}",
        )
    return Comparison("none", f"{best.name} and {baseline} have the same {LEADING}{beside}")


def behind_another(starts: Sequence[StartFigures], registered: str) -> Verdict | None:
    """The verdict on a registered detector where that of another start is ahead of it; None where none is.

    Args:
        starts: figures of every start on the same images.
        registered: the start whose detector is registered.
    """
    own = next((start for start in starts if start.name == registered), None)
    others = best_start(starts, registered)
    if own is None or others is None or known(others.map50_95) <= known(own.map50_95):
        return None
    ahead, reached = known(others.map50_95) * 100, known(own.map50_95) * 100
    return Verdict(
        "registered_behind",
        f"The registered detector is that of the start {registered}, with {reached:.1f} {LEADING}; "
        f"that of {others.name} reaches {ahead:.1f} on the same images. "
        f"finetune.starts=[{others.name}] registers it.",
    )


def best_start(starts: Sequence[StartFigures], baseline: str = "scratch") -> StartFigures | None:
    """The best start besides the baseline by the leading metric, then by mAP@0.5; None without one."""
    others = [start for start in starts if start.name != baseline]
    return max(others, key=lambda start: (known(start.map50_95), known(start.map50)), default=None)


def _beside(points: float, coarse: float, best: str, baseline: str) -> str:
    """What mAP@0.5 shows, where it points elsewhere than the leading metric."""
    if coarse * points > 0 or round(coarse, 1) == 0:
        return ""
    ahead = best if coarse > 0 else baseline
    return f"; at mAP@0.5 {ahead} is ahead by {abs(coarse):.1f}"
