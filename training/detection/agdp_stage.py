"""The detector stage: AGDP on Ray Train, from the pretrained backbone and the pseudo-boxes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from pipelines.review import LeftOut, left_out, read_decisions
from pipelines.tables import CorpusTables
from training.detection.agdp import CLASSES, pseudo_samples
from training.detection.section import DetectorSection
from training.detection.selection import hold_out
from training.detection.training import BoxTraining, train_detector, training_results
from training.loop import ScalingSection, TrainingSite
from training.models import Preprocessing
from training.models.detectors import Detector
from training.starts import BACKBONE_FILE, filled_detector, report_json, start_of_artifact
from training.weights import TransferReport


@dataclass(frozen=True)
class PseudoBoxes:
    """The sources of the detector's pretraining.

    Attributes:
        corpus, boxes, backbone: the stages' artifacts.
        review: what the workspace's review leaves out; nothing where there is no review.
    """

    corpus: Artifact
    boxes: Artifact
    backbone: Artifact
    review: LeftOut

    @classmethod
    def reviewed(
        cls, workspace: Storage, *, corpus: Artifact, boxes: Artifact, backbone: Artifact
    ) -> "PseudoBoxes":
        """The artifacts with the review that the workspace holds.

        Raises:
            UserError: a damaged review.
        """
        decisions = read_decisions(workspace)
        review = left_out(decisions, _rows(boxes)) if decisions else LeftOut(frozenset(), {})
        return cls(corpus, boxes, backbone, review)

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The stages by name."""
        return {"corpus": self.corpus, "boxes": self.boxes, "backbone": self.backbone}

    def training(self, section: DetectorSection) -> BoxTraining:
        """The remaining images, split by the seed, and the section's settings.

        Raises:
            UserError: no pseudo-box is left.
        """
        rows = self.review.kept(_rows(self.boxes))
        tables = CorpusTables(self.corpus.directory)
        samples = pseudo_samples(
            rows, tables.held_out(), tables.levels(), weighted=section.confidence_weighted
        )
        if not any(len(sample.labels) for sample in samples):
            raise UserError(
                "The boxes stage found no pseudo-box in any image, so there is nothing to pretrain a "
                "detector on; raise boxes.c (with another boxes.rule lower its cut) or lower boxes.delta."
                if not self.review
                else "The review leaves no pseudo-box in any image, so there is nothing to pretrain a "
                "detector on; take some rejections back with agssp view."
            )
        train, held_out = hold_out(samples, section.holdout, section.loop.resolved_seed)
        freeze = section.freezes(self.backbone.results["start"])
        return BoxTraining(
            train=train,
            held_out=held_out,
            augment=section.augment,
            loop=section.loop,
            freeze="backbone" if freeze else "none",
            masks=section.masks,
        )


def pretrain_detector(
    section: DetectorSection,
    *,
    site: TrainingSite,
    corpus: Artifact,
    boxes: Artifact,
    backbone: Artifact,
) -> Artifact:
    """Train backbone, neck and head to find the pseudo-boxes, one class `anomaly`.

    The test split is never read. Images and boxes that the workspace's review rejects are left out, and are
    part of the fingerprint. Writes `detector.safetensors`, `history.parquet`; with a review `review.json`.

    Args:
        section: the config.
        site: workspace, tracking run and workers.
        corpus, boxes, backbone: the stages' artifacts.

    Raises:
        UserError: no pseudo-box, a damaged review, or the backbone is not that of `section.name`.
    """
    inputs = PseudoBoxes.reviewed(site.workspace, corpus=corpus, boxes=boxes, backbone=backbone)
    review = inputs.review
    if review:
        say(f"detector: the review leaves out {len(review.images)} images and {review.count} boxes of others")
    return ensure(
        "detector",
        site=site,
        config=section.model_dump(mode="json"),
        inputs=inputs.artifacts,
        extra={"review": review.digest} if review else {},
        body=lambda bench: _learn(section, inputs, bench, site.scaling),
        revision=2,  # metrics: boxes outside the image take no place among the best
    )


def prepared(
    section: DetectorSection, inputs: PseudoBoxes, directory: Storage
) -> tuple[BoxTraining, Detector, TransferReport]:
    """Images and detector before the first step, and a report of what the backbone filled.

    Args:
        section: the config.
        inputs: artifacts and review.
        directory: gets `review.json` where the review leaves something out.

    Raises:
        UserError: no pseudo-box, or the backbone is not that of `section.name`.
    """
    if inputs.review:
        directory.write_json("review.json", inputs.review.document())
    training = inputs.training(section)
    start = start_of_artifact(inputs.backbone, BACKBONE_FILE)
    detector, report = filled_detector(
        section.name,
        CLASSES,
        Preprocessing(section.image_size, "square"),
        section.loop.resolved_seed,
        state=start.state,
        metadata=start.metadata,
        source=f"The backbone {inputs.backbone.directory.uri}",
    )
    return training, detector, report


def _learn(
    section: DetectorSection, inputs: PseudoBoxes, bench: Workbench, scaling: ScalingSection
) -> Mapping[str, Any]:
    """The stage's body: from the backbone to a detector of pseudo-boxes."""
    training, detector, report = prepared(section, inputs, bench.directory)
    result = train_detector(
        detector,
        bench,
        training,
        scaling=scaling,
        lineage={name: artifact.fingerprint for name, artifact in inputs.artifacts.items()},
        title="detector: learning pseudo-boxes",
    )
    review = inputs.review
    return {
        "images": len(training.train),
        "with_boxes": sum(bool(len(sample.labels)) for sample in training.train),
        "boxes": sum(len(sample.labels) for sample in training.train),
        "held_out_images": len(training.held_out),
        "backbone_frozen": training.freeze == "backbone",
        **({"rejected": {"images": len(review.images), "boxes": review.count}} if review else {}),
        "masks": section.masks,
        **training_results(result),
        "transfer": report_json(report),
    }


def _rows(boxes: Artifact) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = boxes.directory.read_table("boxes.parquet").to_pylist()
    return rows
