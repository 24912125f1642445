"""One detector trained on boxes by Ray Train and left in its artifact: what AGDP and finetuning share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.stages import Workbench
from training.detection.data import Sample
from training.detection.section import AugmentSection
from training.detection.task import START_FILE, DetectionPlan, build_detection_task
from training.loop import FitResult, LoopSettings, ScalingSection
from training.loop.fit import fit
from training.models import Freeze, Masks
from training.models.detectors import Detector
from training.starts import WEIGHTS_FILE, save_detector

HISTORY_FILE = "history.parquet"
TRAINING = "training"


@dataclass(frozen=True)
class BoxTraining:
    """What a detector is trained on, and how.

    Attributes:
        train, held_out: images learnt from, and images measured on (may be empty).
        augment: changes of the training images.
        loop: epochs, steps and optimiser.
        freeze: the parts that stay as they start.
        masks: what a mask head learns, see `DetectionPlan`.
    """

    train: Sequence[Sample]
    held_out: Sequence[Sample]
    augment: AugmentSection
    loop: LoopSettings
    freeze: Freeze
    masks: Masks


def train_detector(
    detector: Detector,
    bench: Workbench,
    training: BoxTraining,
    *,
    scaling: ScalingSection,
    lineage: Mapping[str, str],
    title: str,
) -> FitResult:
    """Train `detector` and write `detector.safetensors` and `history.parquet`; a killed training is resumed.

    Args:
        detector: before its first step; it is left with the trained weights.
        bench: of the stage; gets the weights in its tracking run too.
        training: images and settings.
        scaling: workers; decides no result.
        lineage: fingerprints of what it came from, written into the weights' file.
        title: shown beside the progress bar.

    Raises:
        UserError, NonFiniteLoss, RuntimeError: see `fit`.
    """
    loop = training.loop
    save_detector(detector, bench.directory, START_FILE, lineage)
    plan = DetectionPlan(
        directory=bench.directory,
        freeze=training.freeze,
        masks=training.masks,
        train=tuple(training.train),
        held_out=tuple(training.held_out),
        augment=training.augment,
        epochs=loop.epochs,
        seed=loop.seed or 0,
    )
    result = fit(
        build_detection_task,
        {"plan": plan},
        loop,
        name=TRAINING,
        directory=bench.directory,
        scaling=scaling,
        run=bench.run,
        title=title,
    )
    detector.load_state_dict(result.state_dict)
    save_detector(detector, bench.directory, WEIGHTS_FILE, lineage)
    bench.directory.write_table(HISTORY_FILE, result.table())
    with bench.directory.local_copy(WEIGHTS_FILE) as path:
        bench.run.log_file(path, "weights")
    bench.directory.delete(TRAINING)  # checkpoints serve a resumed training only
    return result


def training_results(result: FitResult) -> dict[str, float]:
    """A training's last losses and metrics, and its time, for a stage's record."""
    last = {name: value for row in result.history for name, value in row.items()}
    figures = {name: value for name, value in last.items() if name.startswith(("loss", "map"))}
    return {**figures, "epochs": last["epoch"], "training_seconds": round(result.seconds, 3)}
