"""Labelled images of a finetuning's own, beside or instead of the corpus' labels."""

from collections.abc import Iterable

from pydantic import Field, model_validator

from cluster.config import Section
from cluster.errors import UserError
from cluster.stages import Artifact
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.bad_labels import BadLabels
from pipelines.corpus import CorpusSection
from pipelines.corpus_stage import build_corpus
from pipelines.listing import Listing
from pipelines.near_duplicates import DEFAULT_DISTANCE
from pipelines.sources import Source

KEY = "finetune.data"
SHOWN = 3


class LabelledDataSection(Section):
    """Images and labels in any layout that has boxes or masks: COCO, VOC, YOLO and the rest.

    Attributes:
        train: learnt from.
        test: measured on; without a root it is a share of `train`, by content, near-duplicates on one side.
        test_share: that share of the labelled images.
        near_duplicate_distance, max_bad_share, bad_labels: see `CorpusSection`; here boxes are cut to their
            image by default.
    """

    train: Source
    test: Source = Source()
    test_share: float = Field(default=0.3, gt=0, lt=1)
    near_duplicate_distance: int = Field(default=DEFAULT_DISTANCE, ge=0, le=96)
    max_bad_share: float = Field(default=0.05, ge=0, le=1)
    bad_labels: BadLabels = "clip"

    @model_validator(mode="after")
    def _rooted(self) -> "LabelledDataSection":
        if not self.train.root:
            raise ValueError(f"{KEY}.train.root is not set; give a folder of labelled images")
        return self

    def as_corpus(self) -> "_DataCorpus":
        """The same images as a corpus' config."""
        return _DataCorpus(
            sources=(self.train, self.test) if self.test.root else (self.train,),
            reference_count=0,
            test_share=self.test_share,
            near_duplicate_distance=self.near_duplicate_distance,
            max_bad_share=self.max_bad_share,
            bad_labels=self.bad_labels,
        )


class _DataCorpus(CorpusSection):
    """A corpus whose messages name finetune.data."""

    def keyed_sources(self) -> list[tuple[str, Source]]:
        return list(zip((f"{KEY}.train", f"{KEY}.test"), self.sources, strict=False))


def list_labelled(section: LabelledDataSection) -> Listing:
    """The images, before any is read.

    Raises:
        UserError: see `Listing`; no image has a label.
    """
    listing = Listing(section.as_corpus())
    for source in listing.sources:
        if not any(entry.labelled for entry in source.entries):
            raise UserError(
                f"{source.source.root} holds no labels that the layout {source.layout} knows; set "
                f"{source.key}.layout, or give the folder of images and labels together."
            )
    return listing


def build_labelled(section: LabelledDataSection, *, workspace: Storage, pipeline: PipelineRun) -> Artifact:
    """The `labels` stage: inspected images, split, labels and faults, in the tables of a corpus.

    Raises:
        UserError: see `list_labelled` and `build_corpus`.
    """
    listing = list_labelled(section)
    test = None
    if section.test.root:
        held_out = listing.sources[1]
        test = frozenset(held_out.uri(entry) for entry in held_out.entries)
    return build_corpus(
        section.as_corpus(),
        listing=listing,
        shots=0,
        setting="",
        workspace=workspace,
        pipeline=pipeline,
        stage="labels",
        key=KEY,
        test=test,
    )


def check_unseen(labelled: Artifact, corpus: Artifact) -> None:
    """Refuse test images that pretraining has seen, byte for byte.

    Args:
        labelled: of `build_labelled`.
        corpus: what was pretrained on.

    Raises:
        UserError: naming some of them.
    """
    seen = {row["image_id"]: row["uri"] for row in _rows(corpus) if row["split"] != "test"}
    both = [(row["uri"], seen[row["image_id"]]) for row in _rows(labelled) if _leaks(row, seen)]
    if both:
        shown = "; ".join(f"{test} is {corpus_uri}" for test, corpus_uri in both[:SHOWN])
        more = "; …" if len(both) > SHOWN else ""
        raise UserError(
            f"Pretraining has seen {len(both)} of the test images ({shown}{more}), so "
            "a gain could not be told from memory; take them out of the corpus, or run "
            '"agssp corpus check --against FOLDER" to find near-duplicates too.'
        )


def _rows(artifact: Artifact) -> Iterable[dict[str, str]]:
    rows: list[dict[str, str]] = artifact.directory.read_table(
        "manifest", columns=["image_id", "uri", "split"]
    ).to_pylist()
    return rows


def _leaks(row: dict[str, str], seen: dict[str, str]) -> bool:
    return row["split"] == "test" and row["image_id"] in seen
