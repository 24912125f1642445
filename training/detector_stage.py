"""The detector stage: AGDP on Ray Train, from the pretrained backbone and the pseudo-boxes."""

from collections.abc import Mapping
from typing import Any

from cluster.errors import UserError
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.boxes_stage import held_out_ids
from training.agdp import CLASSES, DetectorSection, pseudo_samples
from training.detection import START_FILE, DetectionPlan, build_detection_task
from training.detector_file import save_detector
from training.fit import FitResult, fit
from training.letterbox import Preprocessing
from training.scaling import ScalingSection
from training.selection import hold_out
from training.start import filled_detector, report_json
from training.weights import load_weights

WEIGHTS_FILE = "detector.safetensors"
HISTORY_FILE = "history.parquet"


def pretrain_detector(
    section: DetectorSection,
    *,
    scaling: ScalingSection,
    workspace: Storage,
    pipeline: PipelineRun,
    corpus: Artifact,
    boxes: Artifact,
    backbone: Artifact,
) -> Artifact:
    """Train backbone, neck and head to find the pseudo-boxes, one class `anomaly`.

    The test split is never read. Writes `detector.safetensors` and `history.parquet`.

    Args:
        section: the config.
        scaling: workers; decides no result.
        corpus, boxes, backbone: the stages' artifacts.

    Raises:
        UserError: no pseudo-box, or the backbone is not that of `section.name`.
    """
    lineage = {"corpus": corpus.fingerprint, "boxes": boxes.fingerprint, "backbone": backbone.fingerprint}

    def body(bench: Workbench) -> Mapping[str, Any]:
        rows = boxes.directory.read_table("boxes.parquet").to_pylist()
        samples = pseudo_samples(rows, held_out_ids(corpus))
        if not any(len(sample.labels) for sample in samples):
            raise UserError(
                "The boxes stage found no pseudo-box in any image, so there is nothing to pretrain a "
                "detector on; raise boxes.c or lower boxes.delta."
            )
        seed = section.loop.seed or 0
        train, held = hold_out(samples, section.holdout, seed)
        freeze = section.freezes(backbone.results["start"])
        with backbone.directory.local_copy("backbone.safetensors") as path:
            state, metadata = load_weights(path)
        detector, report = filled_detector(
            section.name,
            CLASSES,
            Preprocessing(section.image_size, "square"),
            seed,
            state=state,
            metadata=metadata,
            source=f"The backbone {backbone.directory.uri}",
        )
        save_detector(detector, bench.directory, START_FILE, lineage)
        plan = DetectionPlan(
            directory=bench.directory,
            freeze_backbone=freeze,
            train=tuple(train),
            held_out=tuple(held),
            augment=section.augment,
            epochs=section.loop.epochs,
            seed=seed,
        )
        result = fit(
            build_detection_task,
            {"plan": plan},
            section.loop,
            name="training",
            directory=bench.directory,
            scaling=scaling,
            run=bench.run,
            title="detector: learning pseudo-boxes",
        )
        detector.load_state_dict(result.state_dict)
        save_detector(detector, bench.directory, WEIGHTS_FILE, lineage)
        bench.directory.write_table(HISTORY_FILE, result.table())
        log_weights(bench)
        with bench.directory.local_copy(WEIGHTS_FILE) as path:
            bench.run.log_file(path, "weights")
        return {
            "images": len(train),
            "with_boxes": sum(bool(len(sample.labels)) for sample in train),
            "boxes": sum(len(sample.labels) for sample in train),
            "held_out_images": len(held),
            "backbone_frozen": freeze,
            **training_results(result),
            "transfer": report_json(report),
        }

    return ensure(
        "detector",
        workspace=workspace,
        pipeline=pipeline,
        config=section.model_dump(mode="json"),
        inputs={"corpus": corpus, "boxes": boxes, "backbone": backbone},
        body=body,
    )


def log_weights(bench: Workbench) -> None:
    """Copy the stage's weights to its tracking run."""
    with bench.directory.local_copy(WEIGHTS_FILE) as path:
        bench.run.log_file(path, "weights")


def training_results(result: FitResult) -> dict[str, float]:
    """A training's last losses and metrics, and its time, for a stage's record."""
    last = {name: value for row in result.history for name, value in row.items()}
    figures = {name: value for name, value in last.items() if name.startswith(("loss", "map"))}
    return {**figures, "epochs": last["epoch"], "training_seconds": round(result.seconds, 3)}
