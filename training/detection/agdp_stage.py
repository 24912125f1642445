"""The detector stage: AGDP on Ray Train, from a start and the boxes of maps, painted defects or labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from pipelines.encoder import LICENCES
from pipelines.review import LeftOut, left_out, read_decisions
from pipelines.tables import CorpusTables
from training.detection.agdp import (
    CLASSES,
    ignoring_boxes,
    labelled_as_one,
    painted_rows,
    pseudo_samples,
    with_painted,
)
from training.detection.data import Sample
from training.detection.section import DetectorSection
from training.detection.selection import hold_out
from training.detection.training import BoxTraining, train_detector, training_results
from training.loop import ScalingSection, TrainingSite
from training.models import Preprocessing
from training.models.detectors import Detector
from training.starts import (
    BACKBONE_FILE,
    SCRATCH,
    Start,
    filled_detector,
    fresh_detector,
    report_json,
    resolve_start,
    start_of_artifact,
)
from training.weights import TransferReport

LEARNT = {
    "maps": "pseudo-boxes",
    "painted": "painted defects",
    "both": "pseudo-boxes and painted defects",
    "labels": "labelled boxes as one class",
}


@dataclass(frozen=True)
class DefectBoxes:
    """The sources of the detector's pretraining.

    Attributes:
        corpus: the corpus stage's artifact.
        review: what the workspace's review leaves out; nothing where there is no review.
        boxes, painted: the stages' artifacts that the boxes come from, None for one that is not asked;
            without both they are the corpus' labels.
        backbone: the backbone stage's artifact; None with another start.
    """

    corpus: Artifact
    review: LeftOut
    boxes: Artifact | None = None
    painted: Artifact | None = None
    backbone: Artifact | None = None

    @classmethod
    def reviewed(
        cls,
        workspace: Storage,
        *,
        corpus: Artifact,
        boxes: Artifact | None = None,
        painted: Artifact | None = None,
        backbone: Artifact | None = None,
    ) -> "DefectBoxes":
        """The artifacts with the review that the workspace holds.

        Raises:
            UserError: a damaged review.
        """
        decisions = read_decisions(workspace)
        review = LeftOut(frozenset(), {})
        if decisions and boxes is not None:
            review = left_out(decisions, _rows(boxes))
        elif decisions:  # a verdict on a box is one on a pseudo-box
            rows = _training_rows(corpus) if painted is None else _painted_rows(painted)
            review = left_out(decisions, [{**row, "boxes": []} for row in rows])
        return cls(corpus, review, boxes, painted, backbone)

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The stages by name."""
        artifacts = {
            "corpus": self.corpus,
            "boxes": self.boxes,
            "paint": self.painted,
            "backbone": self.backbone,
        }
        return {name: artifact for name, artifact in artifacts.items() if artifact is not None}

    def samples(self, section: DetectorSection) -> list[Sample]:
        """The images outside the test split with the boxes to learn, without what the review rejects."""
        tables = CorpusTables(self.corpus.directory)
        if self.boxes is None and self.painted is None:
            rows = self.review.kept(_training_rows(self.corpus))
            return labelled_as_one(rows, tables.boxes(), tables.ignored())
        rows = self._rows(hidden=section.ignore == "maps")
        return pseudo_samples(rows, tables.held_out(), tables.levels(), weighted=section.confidence_weighted)

    def _rows(self, *, hidden: bool) -> list[dict[str, Any]]:
        if self.painted is None:
            assert self.boxes is not None
            return self.review.kept(_rows(self.boxes))
        painted = _painted_rows(self.painted)
        if self.boxes is None:
            return self.review.kept(painted)
        found = self.review.kept(_rows(self.boxes))
        return with_painted(ignoring_boxes(found) if hidden else found, painted)

    def training(self, section: DetectorSection) -> BoxTraining:
        """The remaining images, split by the seed, and the section's settings.

        Raises:
            UserError: no box is left.
        """
        samples = self.samples(section)
        if not any(len(sample.labels) for sample in samples):
            raise UserError(self._nothing())
        train, held_out = hold_out(samples, section.holdout, section.loop.resolved_seed)
        return BoxTraining(
            train=train,
            held_out=held_out,
            augment=section.augment,
            loop=section.loop,
            freeze="backbone" if section.freeze_backbone else "none",
            masks=section.masks,
            cut=section,
        )

    def _nothing(self) -> str:
        """Why there is no box, and what helps."""
        if self.boxes is None and self.painted is None:
            why = "The review leaves no" if self.review else "The corpus has no"
            return (
                f"{why} labelled box in its training split, so detector.boxes=labels has nothing to learn; "
                "detector.boxes=painted needs no label."
            )
        if self.boxes is None and not self.review:
            return (
                "No defect could be painted onto any image, so there is nothing to pretrain a detector on; "
                "images need sides of at least 32 pixels: raise paint.share, or allow more paint.kinds."
            )
        if self.boxes is None:
            return (
                "The review leaves no painted image, so there is nothing to pretrain a detector on; take "
                "some rejections back with agssp view."
            )
        if self.review:
            return (
                "The review leaves no pseudo-box in any image, so there is nothing to pretrain a "
                "detector on; take some rejections back with agssp view."
            )
        return (
            "The boxes stage found no pseudo-box in any image, so there is nothing to pretrain a "
            "detector on; raise boxes.c (with another boxes.rule lower its cut) or lower boxes.delta."
        )


def pretrain_detector(
    section: DetectorSection,
    *,
    site: TrainingSite,
    corpus: Artifact,
    boxes: Artifact | None = None,
    painted: Artifact | None = None,
    backbone: Artifact | None = None,
) -> Artifact:
    """Train backbone, neck and head to find the boxes that the section names, one class `anomaly`.

    The test split is never read. Images and boxes that the workspace's review rejects are left out, and are
    part of the fingerprint. Writes `detector.safetensors`, `history.parquet`; with a review `review.json`.

    Args:
        section: the config.
        site: workspace, tracking run and workers.
        corpus: the corpus stage's artifact.
        boxes, painted: those of the boxes and the paint stage, as `section.boxes` needs them.
        backbone: the backbone stage's; None where the section names another start.

    Raises:
        UserError: no box, a damaged review, or weights that are not those of `section.name`.
    """
    inputs = DefectBoxes.reviewed(
        site.workspace, corpus=corpus, boxes=boxes, painted=painted, backbone=backbone
    )
    review = inputs.review
    start, extra = None, {"review": review.digest} if review else {}
    if backbone is None and section.begins_with != SCRATCH:
        start = resolve_start(section.begins_with, section.name, lambda: site.run.tracker)
        extra["weights"] = start.digest
    if review:
        say(f"detector: the review leaves out {len(review.images)} images and {review.count} boxes of others")
    return ensure(
        "detector",
        site=site,
        config=section.deciding,
        inputs=inputs.artifacts,
        extra=extra,
        body=lambda bench: _learn(section, inputs, start, bench, site.scaling),
        revision=2,  # metrics: boxes outside the image take no place among the best
    )


def prepared(
    section: DetectorSection, inputs: DefectBoxes, directory: Storage, start: Start | None = None
) -> tuple[BoxTraining, Detector, TransferReport | None]:
    """Images and detector before the first step, and a report of what the start filled, None from scratch.

    Args:
        section: the config.
        inputs: artifacts and review.
        directory: gets `review.json` where the review leaves something out.
        start: weights to begin with where there is no backbone stage; None begins from scratch.

    Raises:
        UserError: no box, or weights that are not those of `section.name`.
    """
    if inputs.review:
        directory.write_json("review.json", inputs.review.document())
    training = inputs.training(section)
    preprocessing, seed = Preprocessing(section.image_size, "square"), section.loop.resolved_seed
    said = "start"
    if inputs.backbone is not None:
        start, said = start_of_artifact(inputs.backbone, BACKBONE_FILE), "backbone"
    if start is None:
        return training, fresh_detector(section.name, CLASSES, preprocessing, seed), None
    detector, report = filled_detector(
        section.name,
        CLASSES,
        preprocessing,
        seed,
        state=start.state,
        metadata=start.metadata,
        source=f"The {said} {start.source}",
        whole=start.whole,
    )
    return training, detector, report


def _learn(
    section: DetectorSection,
    inputs: DefectBoxes,
    start: Start | None,
    bench: Workbench,
    scaling: ScalingSection,
) -> Mapping[str, Any]:
    """The stage's body: from the start to a detector of boxes."""
    training, detector, report = prepared(section, inputs, bench.directory, start)
    if inputs.boxes is not None:  # boxes made before licences were kept name none
        detector.licences = {**detector.licences, **inputs.boxes.results.get(LICENCES, {})}
    weights = {} if start is None else {"weights": start.digest}
    result = train_detector(
        detector,
        bench,
        training,
        scaling=scaling,
        lineage={name: artifact.fingerprint for name, artifact in inputs.artifacts.items()} | weights,
        title=f"detector: learning {LEARNT[section.boxes]}",
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
        "transfer": None if report is None else report_json(report),
    }


def _rows(boxes: Artifact) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = boxes.directory.read_table("boxes.parquet").to_pylist()
    return rows


def _painted_rows(painted: Artifact) -> list[dict[str, Any]]:
    table = painted.directory.read_table("painted.parquet")
    return painted_rows(table.to_pylist(), painted.directory)


def _training_rows(corpus: Artifact) -> list[dict[str, Any]]:
    rows = CorpusTables(corpus.directory).manifest(split="train")
    return [{**row, "boxes": []} for row in rows]
