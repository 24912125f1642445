"""What a detector's pretraining learns from: images and boxes out of the artifacts of other stages."""

from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError
from cluster.stages import Artifact
from cluster.storage import Storage
from pipelines.review import LeftOut, left_out, read_decisions
from pipelines.tables import CorpusTables
from training.detection.agdp import (
    ignoring_boxes,
    labelled_as_one,
    painted_rows,
    pseudo_samples,
    with_painted,
)
from training.detection.data import Sample
from training.detection.proposals_stage import PROPOSALS_FILE
from training.detection.rounds import Correction, clear_of_painted, corrected
from training.detection.section import DetectorSection
from training.detection.selection import hold_out
from training.detection.training import BoxTraining


@dataclass(frozen=True)
class DefectBoxes:
    """The sources of the detector's pretraining.

    Attributes:
        corpus: the corpus stage's artifact.
        review: what the workspace's review leaves out; nothing where there is no review.
        boxes, painted: the stages' artifacts that the boxes come from, None for one that is not asked;
            without both they are the corpus' labels.
        backbone: the backbone stage's artifact; None with another start.
        proposals: what the round before finds; None in the first.
    """

    corpus: Artifact
    review: LeftOut
    boxes: Artifact | None = None
    painted: Artifact | None = None
    backbone: Artifact | None = None
    proposals: Artifact | None = None

    @classmethod
    def reviewed(
        cls,
        workspace: Storage,
        *,
        corpus: Artifact,
        boxes: Artifact | None = None,
        painted: Artifact | None = None,
        backbone: Artifact | None = None,
        proposals: Artifact | None = None,
    ) -> "DefectBoxes":
        """The artifacts with the review that the workspace holds.

        Raises:
            UserError: a damaged review.
        """
        decisions = read_decisions(workspace)
        review = LeftOut(frozenset(), {})
        if decisions and boxes is not None:
            found = {} if proposals is None else _proposed(proposals)
            rows = [
                {**row, "boxes": [*row["boxes"], *found.get(row["image_id"], ())]} for row in _rows(boxes)
            ]
            review = left_out(decisions, rows)
        elif decisions:  # a verdict on a box is one on a pseudo-box
            rows = _training_rows(corpus) if painted is None else _painted_rows(painted)
            review = left_out(decisions, [{**row, "boxes": []} for row in rows])
        return cls(corpus, review, boxes, painted, backbone, proposals)

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The stages by name."""
        artifacts = {
            "corpus": self.corpus,
            "boxes": self.boxes,
            "paint": self.painted,
            "backbone": self.backbone,
            "proposals": self.proposals,
        }
        return {name: artifact for name, artifact in artifacts.items() if artifact is not None}

    def samples(self, section: DetectorSection) -> list[Sample]:
        """The images outside the test split with the boxes to learn, without what the review rejects."""
        tables = CorpusTables(self.corpus.directory)
        if self.boxes is None and self.painted is None:
            rows = self.review.kept(_training_rows(self.corpus))
            return labelled_as_one(rows, tables.boxes(), tables.ignored())
        if self.proposals is None:
            rows = self._rows(hidden=section.ignore == "maps")
        else:
            rows = self._corrected_rows(self.correction(section))
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

    def correction(self, section: DetectorSection) -> Correction:
        """What the round before leaves of the pseudo-boxes, and adds to them; nothing painted."""
        assert self.boxes is not None
        assert self.proposals is not None
        held_out, proposals = CorpusTables(self.corpus.directory).held_out(), _proposed(self.proposals)
        pseudo = [row for row in self.review.kept(_rows(self.boxes)) if row["image_id"] not in held_out]
        rows = self.review.kept({"image_id": image, "boxes": boxes} for image, boxes in proposals.items())
        kept = {row["image_id"]: row["boxes"] for row in rows}
        return corrected(pseudo, kept, agreeing=section.boxes == "painted")

    def _corrected_rows(self, correction: Correction) -> list[dict[str, Any]]:
        if self.painted is None:
            return correction.rows
        painted = _painted_rows(self.painted)
        return with_painted(clear_of_painted(correction.rows, painted), painted)

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
        if self.proposals is not None and self.painted is None:
            return (
                "The round before finds no defect in any image, so there is nothing to learn in the next; "
                "set detector.rounds=1, or raise detector.loop.epochs."
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


def _proposed(proposals: Artifact) -> dict[str, list[dict[str, Any]]]:
    rows = proposals.directory.read_table(PROPOSALS_FILE, columns=["image_id", "boxes"]).to_pylist()
    return {row["image_id"]: row["boxes"] for row in rows}


def _rows(boxes: Artifact) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = boxes.directory.read_table("boxes.parquet").to_pylist()
    return rows


def _painted_rows(painted: Artifact) -> list[dict[str, Any]]:
    table = painted.directory.read_table("painted.parquet")
    return painted_rows(table.to_pylist(), painted.directory)


def _training_rows(corpus: Artifact) -> list[dict[str, Any]]:
    rows = CorpusTables(corpus.directory).manifest(split="train")
    return [{**row, "boxes": []} for row in rows]
