"""A first idea of a training's time, before any like it is finished in a workspace: measured on another CPU.

The one place for such constants; plans say that they are estimates, and finished trainings take their place.
"""

from dataclasses import dataclass

from training.detection import DRAWN_EACH

# Images that this detector learns in a second of CPU time at this size, nothing frozen, on a core with AVX2
# and the other one busy, as gain studies of neu_det did. A frozen backbone or wider vectors make it up to
# three times as quick.
DETECTOR, SIDE, PACE = "yolov8n", 128, 20.0
START_SECONDS = (
    10.0  # of a training beside its steps: start, validation, files, as the demo's small ones show
)

# Crops a second of a transfer study: its CPU preset learns 16 × 4,800 of this side in an hour of two cores.
CROP, CROP_PACE = 96, 16 * 4_800 / 3_600
DENSE_MODELS = frozenset({"semantic-fpn+resnet18", "yolov8n+resnet18"})

# GFLOPs of an image of 640 × 640, as ultralytics' model files state them: costs beside each other.
_FAMILIES = {
    "yolov8": (8.9, 28.8, 79.3, 165.7, 258.5),
    "yolo11": (6.6, 21.7, 68.5, 87.6, 196.0),
    "yolo12": (6.7, 21.7, 68.1, 89.7, 200.3),
    "yolo26": (6.1, 22.8, 75.4, 93.8, 209.5),
}
GFLOPS = {
    f"{family}{size}": cost
    for family, costs in _FAMILIES.items()
    for size, cost in zip("nsmlx", costs, strict=True)
}


@dataclass(frozen=True)
class Learnt:
    """What a training learns from.

    Attributes:
        images: images, each counted once an epoch.
        pixels: of each, as the network sees it.
        trainings: trainings that they are of.
    """

    images: float
    pixels: int
    trainings: int = 1


def round_times(rounds: float) -> float:
    """Time of so many rounds of finetuning in that of the first; less where few images lack labels."""
    return 1 + (1 + DRAWN_EACH) * (rounds - 1)


def core_seconds(model: str, learnt: Learnt) -> float | None:
    """Seconds of a training on one quiet CPU core, without maps or evaluation; None where unmeasured."""
    if model not in GFLOPS:
        return None
    steps = learnt.images * learnt.pixels * GFLOPS[model] / GFLOPS[DETECTOR] / (PACE * SIDE**2)
    return START_SECONDS * learnt.trainings + steps


def crop_seconds(model: str, learnt: Learnt) -> float | None:
    """Seconds of a transfer study's training on two CPU cores; None for a model unmeasured."""
    if model not in DENSE_MODELS:
        return None
    return learnt.images * learnt.pixels / (CROP_PACE * CROP**2)


def about(seconds: float) -> str:
    """A time in words: minutes below two hours, then hours."""
    if seconds < 90:
        return "a minute"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
