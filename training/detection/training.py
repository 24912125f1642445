"""One detector trained on boxes by Ray Train and left in its artifact: what AGDP and finetuning share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.progress import say
from cluster.stages import Workbench
from pipelines.images import Levels
from training.detection.augment_section import BoxAugment
from training.detection.data import Sample
from training.detection.task import DetectionPlan, build_detection_task
from training.detection.tiles import learnt_tiles, tiled_samples
from training.loop import FitResult, LoopSettings, ScalingSection, trained
from training.models import DetectorTiles, Freeze, Masks
from training.models.detectors import Detector
from training.starts import WEIGHTS_FILE, save_detector


@dataclass(frozen=True)
class BoxTraining:
    """What a detector is trained on, and how.

    Attributes:
        train, held_out: images learnt from, and images measured on (may be empty).
        augment: changes of the training images.
        loop: epochs, steps and optimiser.
        freeze: the parts that stay as they start.
        masks: what a mask head learns, see `DetectionPlan`.
        cut: how images are cut into tiles.
        empty_share: most of the tiles learnt from that have no box, as a share.
        drawn: further images to learn from, drawn anew every epoch.
    """

    train: Sequence[Sample]
    held_out: Sequence[Sample]
    augment: BoxAugment
    loop: LoopSettings
    freeze: Freeze
    masks: Masks
    cut: DetectorTiles
    empty_share: float = 0.5
    drawn: Sequence[Sample] = ()


def train_detector(
    detector: Detector,
    bench: Workbench,
    training: BoxTraining,
    *,
    scaling: ScalingSection,
    lineage: Mapping[str, str],
    title: str,
) -> FitResult:
    """Train `detector` and write `detector.safetensors` and the other files of `trained`, also when resumed.

    Args:
        detector: the detector before its first step; it ends with the trained weights.
        bench: the stage's workbench; its tracking run gets the weights too.
        training: images and settings.
        scaling: workers; changes no result.
        lineage: fingerprints of its sources, written into the weights' file.
        title: shown beside the progress bar.

    Raises:
        UserError, NonFiniteLoss, RuntimeError: see `training.loop.fit.fit`.
    """
    loop = training.loop
    detector.levels = _common_levels([*training.train, *training.drawn, *training.held_out])
    detector.cut = DetectorTiles.model_validate(training.cut.deciding_tiles)
    learnt, drawn = (
        learnt_tiles(images, training.cut, detector.preprocessing, training.empty_share, loop.resolved_seed)
        for images in (training.train, training.drawn)
    )
    if training.cut.tiles != "off":
        say(f"{title}: {len(learnt):,} tiles of {len(training.train):,} images")
    plan = DetectionPlan(
        directory=bench.directory,
        freeze=training.freeze,
        masks=training.masks,
        train=tuple(learnt),
        held_out=tuple(tiled_samples(training.held_out, training.cut, detector.preprocessing)),
        augment=training.augment,
        epochs=loop.epochs,
        seed=loop.resolved_seed,
        drawn=tuple(drawn),
    )
    return trained(
        build_detection_task,
        plan,
        loop,
        bench=bench,
        scaling=scaling,
        title=title,
        weights_file=WEIGHTS_FILE,
        save=lambda name: save_detector(detector, bench.directory, name, lineage),
        load=detector.load_state_dict,
    )


def _common_levels(samples: Sequence[Sample]) -> Levels | None:
    """The levels of all samples that have some; None where they differ, which is said."""
    pairs = {sample.levels for sample in samples if sample.levels is not None}
    if len(pairs) > 1:
        say(
            f"The training images of more than 8 bits are scaled by {len(pairs)} different levels, so the "
            "detector names none: set predict.levels where you use it."
        )
    return pairs.pop() if len(pairs) == 1 else None


# What a row of the history tells of the training's course; all else is a loss or a metric.
COURSE = frozenset(("epoch", "step", "lr", "images_per_s", "seconds"))


def training_results(result: FitResult) -> dict[str, float]:
    """A training's last losses and metrics, whatever their names, and its time, for a stage's record."""
    last = {name: value for row in result.history for name, value in row.items()}
    figures = {name: value for name, value in last.items() if name not in COURSE}
    return {**figures, "epochs": last["epoch"], "training_seconds": round(result.seconds, 3)}
