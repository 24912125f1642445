"""What a corpus is made of: the config of sources, splits and labelled data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cluster.config import Section
from cluster.config_paths import Location
from pipelines.annotations import Crowds
from pipelines.images import LevelsSection
from pipelines.layouts import AUTO, check_layout

DEFAULT_DISTANCE = 64
BadLabels = Literal["clip", "drop", "fail"]
SplitBy = Literal["content", "published"]


@dataclass(frozen=True)
class ReferenceNeed:
    """Normal references that every category must have.

    Attributes:
        shots: references that each category needs.
        key: the config key that asks for them, for messages.
    """

    shots: int
    key: str


class Source(Section):
    """One folder of images and how to read it.

    Attributes:
        root: folder (from the working directory, where it is relative) or object-storage URI.
        layout: name of a dataset layout, or `auto`.
        category: the category of all its images, whatever the layout says; empty leaves it to the layout.
        categories: other names for single categories of the layout (folders, as a rule).
        references: normal images by category (as it is called after renaming): paths below the root, a
            folder or glob there, or the full path or URI of a folder elsewhere (see `references.look_up`). A
            category that no source names takes `reference_count` of the images its layout marks as normal, by
            hash; `agssp references` proposes some where there are none.
        crowds: what COCO's `iscrowd: 1` and VOC's `difficult` (also as COCO's `ignore: 1`) mean. `objects`:
            nothing, they are objects as the others. `ignored`: defects that are no single objects; detections
            there count neither as right nor as wrong, and finetuning does not see them. `auto`: what is
            difficult is an object; of COCO's crowds, those whose
            mask is run lengths are objects where they have `attributes` (CVAT, Datumaro) or `extra` (V7), or
            where no object of the file has `iscrowd: 0`, as these tools mark all such masks; the others are
            ignored, and `bad_labels.parquet` tells of each what was assumed.
        follow_links: whether links below a local root may lead out of it, as in a link farm.
        levels: how its images of more than 8 bits become 8 bits, in all that follows; None takes each image's
            own least and greatest value. Percentiles are those of all its images; with `fixed` they are equal
            from source to source.
    """

    root: Location = ""
    layout: str = AUTO
    category: str = Field(default="", max_length=100)
    categories: dict[str, str] = Field(default={})
    references: dict[str, tuple[str, ...]] = Field(default={})
    crowds: Crowds = "auto"
    follow_links: bool = False
    levels: LevelsSection | None = None

    @field_validator("layout")
    @classmethod
    def _known(cls, name: str) -> str:
        return check_layout(name)

    @field_validator("references", mode="before")
    @classmethod
    def _items(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        listed = {name: (items,) if isinstance(items, str) else items for name, items in value.items()}
        for name, items in listed.items():
            if isinstance(items, list | tuple) and "auto" in items:
                raise ValueError(
                    f'{name}: "auto" is not used unseen; run "agssp references CONFIG", look at its page and '
                    "put the paths that it prints here"
                )
        return listed

    @field_validator("category")
    @classmethod
    def _written(cls, name: str) -> str:
        if name != name.strip() or not name.isprintable():
            raise ValueError("a category is printable text without space around it")
        return name

    @field_validator("categories")
    @classmethod
    def _named(cls, names: dict[str, str]) -> dict[str, str]:
        if any(not name.strip() or name != name.strip() or not name.isprintable() for name in names.values()):
            raise ValueError("a category is printable text without space around it")
        return names


class CorpusSection(Source):
    """The corpus' images: those of `root`, or of several `sources`.

    Attributes:
        sources: folders of images instead of the single `root`, each with its own layout, categories and
            references.
        reference_count: normal references a category keeps, by hash (the method uses 1–4), unless they are
            named one by one.
        split: which labelled images are held out for evaluation and never used in pretraining;
            near-duplicates stay on one side. `content`: `test_share` of them, by content hash. `published`:
            those that the data set's own files or folders call test, or validation in a source where no
            labelled image is called test; all others are for training. Images that can't stay where they
            are published are listed in `moved.parquet`.
        test_share: share of the labelled images that `split: content` holds out.
        near_duplicate_distance: most bits of 256 in which the perceptual hashes of near-duplicates differ;
            `pipelines/corpus/near_duplicates.py` says what the default was measured on.
        max_bad_share: share of unusable images and of labels that belong to no image, together, above which
            the stage fails.
        bad_labels: `clip` cuts boxes to the image and makes hairlines one pixel wide, `drop` doesn't; both
            leave out images whose labels have another fault. `fail` stops at any fault, at a mark that
            `crowds` had to guess at too. `bad_labels.parquet` lists all. An empty label file is no fault: its
            image is background.
    """

    sources: tuple[Source, ...] = Field(default=(), max_length=1000)
    reference_count: int = Field(default=4, ge=0, le=64)
    split: SplitBy = "content"
    test_share: float = Field(default=0.5, ge=0, lt=1)
    # Above 96 most pairs of one kind of surface are within the distance.
    near_duplicate_distance: int = Field(default=DEFAULT_DISTANCE, ge=0, le=96)
    max_bad_share: float = Field(default=0.05, ge=0, le=1)
    bad_labels: BadLabels = "drop"

    @model_validator(mode="after")
    def _either(self) -> "CorpusSection":
        if self.sources and any(
            getattr(self, name) != getattr(Source(), name) for name in Source.model_fields
        ):
            source_keys = ", ".join(Source.model_fields)
            raise ValueError(f"with corpus.sources, {source_keys} belong into each source, not beside them")
        for place, source in enumerate(self.sources):
            if not source.root:
                raise ValueError(f"corpus.sources.{place}.root is not set; every source needs one")
        return self

    def keyed_sources(self) -> list[tuple[str, Source]]:
        """The dotted path of each source's config, and the source."""
        if self.sources:
            return [(f"corpus.sources.{place}", source) for place, source in enumerate(self.sources)]
        return [("corpus", self)]

    def dump(self) -> dict[str, Any]:
        """The config that decides the corpus; with `split` only where it is not by content."""
        # Corpora of before there was a choice keep their fingerprints.
        return self.model_dump(mode="json", exclude={"split"} if self.split == "content" else None)

    @property
    def key(self) -> str:
        """Dotted path of the section that holds `split`, for messages."""
        return "corpus"

    def levels_source(self, place: int) -> int:
        """The place among `keyed_sources` of the source whose images give a source its levels."""
        return place


KEY = "finetune.data"


class _DataCorpus(CorpusSection):
    """A corpus whose messages name finetune.data."""

    def keyed_sources(self) -> list[tuple[str, Source]]:
        return list(zip((f"{KEY}.train", f"{KEY}.test"), self.sources, strict=False))

    @property
    def key(self) -> str:
        """See `CorpusSection.key`."""
        return KEY

    def levels_source(self, place: int) -> int:
        """Held-out images are scaled as those learnt from, unless their source says otherwise."""
        return place if self.sources[place].levels is not None else 0


class LabelledDataSection(Section):
    """Images and labels in any layout that has boxes or masks: COCO, VOC, YOLO and the rest.

    Attributes:
        train: images to learn from.
        test: images to measure on, scaled as those of `train` unless it has `levels`; without a root a share
            of `train`, near-duplicates on one side.
        split: how `train` is split where `test` has no root, see `CorpusSection`; `published` takes no
            `test`.
        test_share: share of the labelled images of `train` that `split: content` holds out.
        near_duplicate_distance, max_bad_share, bad_labels: see `CorpusSection`; here faults that can be
            mended are mended by default.
    """

    train: Source
    test: Source = Source()
    split: SplitBy = "content"
    test_share: float = Field(default=0.3, gt=0, lt=1)
    near_duplicate_distance: int = Field(default=DEFAULT_DISTANCE, ge=0, le=96)
    max_bad_share: float = Field(default=0.05, ge=0, le=1)
    bad_labels: BadLabels = "clip"

    @model_validator(mode="after")
    def _rooted(self) -> "LabelledDataSection":
        if not self.train.root:
            raise ValueError(f"{KEY}.train.root is not set; give a folder of labelled images")
        if self.test.root and self.split == "published":
            raise ValueError(
                f"{KEY}.split=published takes the test images that {KEY}.train.root states itself; leave out "
                f"{KEY}.test.root, or set {KEY}.split=content to measure on that folder"
            )
        return self

    def as_corpus(self) -> "_DataCorpus":
        """The same images as a corpus' config."""
        return _DataCorpus(
            sources=(self.train, self.test) if self.test.root else (self.train,),
            reference_count=0,
            split=self.split,
            test_share=self.test_share,
            near_duplicate_distance=self.near_duplicate_distance,
            max_bad_share=self.max_bad_share,
            bad_labels=self.bad_labels,
        )
