"""The detector stage: AGDP on Ray Train, from the pretrained backbone and the pseudo-boxes."""

from collections.abc import Mapping
from typing import Any

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.review import LeftOut, left_out, read_decisions
from pipelines.tables import CorpusTables
from training.detection.agdp import CLASSES, pseudo_samples
from training.detection.section import DetectorSection
from training.detection.selection import hold_out
from training.detection.training import train_detector, training_results
from training.loop import ScalingSection
from training.models import Preprocessing
from training.starts import filled_detector, report_json
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

    The test split is never read. Images and boxes that the workspace's review rejects are left out, and are
    part of the fingerprint. Writes `detector.safetensors`, `history.parquet`; with a review `review.json`.

    Args:
        section: the config.
        scaling: workers; decides no result.
        corpus, boxes, backbone: the stages' artifacts.

    Raises:
        UserError: no pseudo-box, a damaged review, or the backbone is not that of `section.name`.
    """
    review = _review(workspace, boxes)
    if review:
        say(f"detector: the review leaves out {len(review.images)} images and {review.count} boxes of others")
    lineage = {"corpus": corpus.fingerprint, "boxes": boxes.fingerprint, "backbone": backbone.fingerprint}

    def body(bench: Workbench) -> Mapping[str, Any]:
        if review:
            bench.directory.write_json("review.json", review.document())
        rows = review.kept(_rows(boxes))
        held_out = CorpusTables(corpus.directory).held_out()
        samples = pseudo_samples(rows, held_out, weighted=section.confidence_weighted)
        if not any(len(sample.labels) for sample in samples):
            raise UserError(
                "The boxes stage found no pseudo-box in any image, so there is nothing to pretrain a "
                "detector on; raise boxes.c or lower boxes.delta."
                if not review
                else "The review leaves no pseudo-box in any image, so there is nothing to pretrain a "
                "detector on; take some rejections back with agssp view."
            )
        seed = section.loop.resolved_seed
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
            **({"rejected": {"images": len(review.images), "boxes": review.count}} if review else {}),
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
        extra={"review": review.digest} if review else {},
        body=body,
    )


def _review(workspace: Storage, boxes: Artifact) -> LeftOut:
    """What the workspace's review leaves out of the boxes; nothing where there is no review."""
    decisions = read_decisions(workspace)
    return left_out(decisions, _rows(boxes)) if decisions else LeftOut(frozenset(), {})


def _rows(boxes: Artifact) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = boxes.directory.read_table("boxes.parquet").to_pylist()
    return rows
