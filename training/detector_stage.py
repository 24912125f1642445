"""The detector stage: AGDP on Ray Train, from the pretrained backbone and the pseudo-boxes."""

from collections.abc import Mapping
from typing import Any

from cluster.errors import UserError
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.boxes_stage import held_out_ids
from training.agdp import CLASSES, DetectorSection, pseudo_samples
from training.detector_training import train_detector, training_results
from training.letterbox import Preprocessing
from training.scaling import ScalingSection
from training.selection import hold_out
from training.start import filled_detector, report_json
from training.weights import load_weights


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
        samples = pseudo_samples(rows, held_out_ids(corpus), weighted=section.confidence_weighted)
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
        result = train_detector(
            detector,
            bench,
            train=train,
            held_out=held,
            augment=section.augment,
            loop=section.loop,
            freeze="backbone" if freeze else "none",
            masks=section.masks,
            scaling=scaling,
            lineage=lineage,
            title="detector: learning pseudo-boxes",
        )
        return {
            "images": len(train),
            "with_boxes": sum(bool(len(sample.labels)) for sample in train),
            "boxes": sum(len(sample.labels) for sample in train),
            "held_out_images": len(held),
            "backbone_frozen": freeze,
            "masks": section.masks,
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
