"""What a corpus is made of: inspected images, references, split, duplicates and quarantine. No Ray here."""

from collections import Counter
from collections.abc import Mapping, Set
from typing import Any

import pyarrow as pa
from pydantic import Field, model_validator

from cluster.errors import UserError
from pipelines.annotations import Annotation, Faults, LabelFault, read_truth
from pipelines.annotations.rle import encode_mask
from pipelines.bad_labels import BadLabels, fault_row, fault_sentence
from pipelines.corpus_statistics import category_statistics, grey_levels
from pipelines.images import ImageError, content_hash, decode_image, read_bytes
from pipelines.near_duplicates import DEFAULT_DISTANCE, group_images, perceptual_hash
from pipelines.references import Candidates
from pipelines.sources import Source
from pipelines.split import held_out_ids
from pipelines.tables import (
    BAD_LABELS,
    DUPLICATES,
    HASHES,
    LABELLED_BOX,
    LABELS,
    MANIFEST,
    NEAR_DUPLICATES,
    QUARANTINE,
)

REFERENCE, TRAIN = "reference", "train"


class CorpusSection(Source):
    """Which images there are: those of `root`, or of several `sources`.

    Attributes:
        sources: folders of images instead of the single `root`, each with its own layout, categories and
            references.
        reference_count: normal references a category keeps, by hash (the method uses 1–4), unless they are
            named one by one.
        test_share: share of the labelled images, by content hash, that is held out for evaluation and never
            used in pretraining; near-duplicates are on one side.
        near_duplicate_distance: bits of 256 in which the perceptual hashes of near-duplicates differ at
            most, see `pipelines/near_duplicates.py` for what the default was measured on.
        max_bad_share: share of unusable images above which the stage fails.
        bad_labels: `clip` cuts boxes to the image, `drop` doesn't; both leave out images whose labels have
            another fault. `fail` stops at any fault, an empty label file too. `bad_labels.parquet` lists all.
    """

    sources: tuple[Source, ...] = Field(default=(), max_length=1000)
    reference_count: int = Field(default=4, ge=0, le=64)
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
            given = ", ".join(Source.model_fields)
            raise ValueError(f"with corpus.sources, {given} belong into each source, not beside them")
        for place, source in enumerate(self.sources):
            if not source.root:
                raise ValueError(f"corpus.sources.{place}.root is not set; every source needs one")
        return self

    def keyed_sources(self) -> list[tuple[str, Source]]:
        """The sources with the dotted path of their config."""
        if self.sources:
            return [(f"corpus.sources.{place}", source) for place, source in enumerate(self.sources)]
        return [("corpus", self)]


ANNOTATION = pa.struct(
    [
        ("format", pa.string()),
        ("files", pa.list_(pa.string())),
        ("label", pa.string()),
        ("content", pa.string()),
        ("empty_is_normal", pa.bool_()),
    ]
)
LISTED = pa.schema(
    [
        ("uri", pa.string()),
        ("path", pa.string()),
        ("category", pa.string()),
        ("normal", pa.bool_()),
        ("labelled", pa.bool_()),
        ("annotation", ANNOTATION),
        ("fault", pa.string()),
    ]
)
_INSPECTED = pa.schema(
    [
        *(field for field in LISTED if field.name != "annotation"),
        ("image_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("phash", pa.string()),
        ("grey_mean", pa.float64()),
        ("grey_deviation", pa.float64()),
        ("boxes", pa.list_(LABELLED_BOX)),
        ("mask", pa.string()),
        ("error", pa.string()),
        ("faults", pa.list_(pa.struct(list(BAD_LABELS)))),
    ]
)


def inspect(rows: pa.Table, *, clip: bool = False) -> pa.Table:
    """Hash and decode each listed image and read its annotation; what can't be used gets an `error` instead.

    `image_id` is the first 32 hex digits of the file's SHA-256, `phash` its perceptual hash, `faults` all
    that is wrong with the labels.

    Args:
        rows: schema `LISTED`.
        clip: see `Faults`.
    """
    return pa.Table.from_pylist([_inspect_one(row, clip) for row in rows.to_pylist()], schema=_INSPECTED)


def _inspect_one(row: dict[str, Any], clip: bool) -> dict[str, Any]:
    faults = Faults(clip)
    row = {**row, "faults": []}
    try:
        if row["fault"] is not None:
            row["faults"] = [fault_row(LabelFault("", None, row["fault"]), row["uri"])]
            raise ImageError(row["fault"])
        data = read_bytes(row["uri"])
        image = decode_image(data)
        height, width = image.shape[:2]
        try:
            row |= _truth(row, width, height, faults)
        finally:
            row["faults"] = [fault_row(fault, row["uri"]) for fault in faults.found]
    except ImageError as error:
        return {**row, "error": str(error)}
    looks = {"phash": perceptual_hash(image), **grey_levels(image)}
    return {**row, "image_id": content_hash(data), "width": width, "height": height, **looks, "error": None}


def _truth(row: dict[str, Any], width: int, height: int, faults: Faults) -> dict[str, Any]:
    """The columns that an annotation decides: boxes, mask (COCO run-length text), normal."""
    if row["annotation"] is None:
        return {"boxes": [], "mask": None}
    annotation = Annotation(**row["annotation"])
    truth = read_truth(annotation, width, height, faults)
    return {
        "boxes": [vars(box) for box in truth.boxes],
        "mask": None if truth.mask is None else encode_mask(truth.mask),
        "normal": row["normal"] or (truth.empty and annotation.empty_is_normal),
    }


class Corpus:
    """The inspected images sorted into manifest, labels, quarantine and duplicates.

    Args:
        inspected: rows of `inspect`.
        section: the corpus' config.
        candidates: from `Listing.reference_candidates`.
        test: URIs of the held-out images, where they are given and not chosen by content.
        key: dotted path of `section`, for messages.

    Raises:
        UserError: a fault in a label where `section.bad_labels` is `fail`.
    """

    def __init__(
        self,
        inspected: pa.Table,
        section: CorpusSection,
        candidates: Mapping[str, Candidates],
        test: Set[str] | None = None,
        key: str = "corpus",
    ) -> None:
        given = test or frozenset()
        # Of two copies the held-out one is kept, then the labelled one.
        rows = sorted(
            inspected.to_pylist(),
            key=lambda row: (row["uri"] not in given, not row["labelled"], str(row["uri"])),
        )
        self.bad_labels = [fault for row in rows for fault in row["faults"]]
        self.bad_labels.sort(key=lambda fault: (fault["file"], fault["line"] or 0))
        if section.bad_labels == "fail" and self.bad_labels:
            raise UserError(fault_sentence(self.bad_labels, key))
        self.quarantine = [
            {"uri": row["uri"], "stage": "corpus", "reason": row["error"]} for row in rows if row["error"]
        ]
        self._quarantined = Counter(row["category"] for row in rows if row["error"])
        self.duplicates: list[dict[str, str]] = []
        unique: dict[str, dict[str, Any]] = {}
        for row in rows:
            if row["error"]:
                continue
            first = unique.setdefault(row["image_id"], row)
            if first is not row:
                self.duplicates.append(
                    {"uri": row["uri"], "first": first["uri"], "image_id": row["image_id"]}
                )
        references = self._references(rows, candidates)
        self.manifest: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        # A defect image whose mask is empty says neither "normal" nor where the defect is.
        empty = {i for i, row in unique.items() if row["labelled"] and not row["normal"] and not row["boxes"]}
        self.empty_masks = len(empty)
        labelled_ids = {i for i, row in unique.items() if row["labelled"]} - empty
        self.near_duplicates, near_groups = group_images(unique, section.near_duplicate_distance)
        if test is None:
            held_out = held_out_ids(near_groups, labelled_ids - references, section.test_share)
        else:
            held_out = {i for i in labelled_ids if unique[i]["uri"] in given}
        for image_id, row in sorted(unique.items()):
            labelled = image_id in labelled_ids
            split = "test" if image_id in held_out else "train" if labelled else "unlabelled"
            role = REFERENCE if image_id in references else TRAIN
            self.manifest.append({**row, "split": split, "role": role})
            if labelled:
                self.labels.append(row)

    @staticmethod
    def _references(rows: list[dict[str, Any]], candidates: Mapping[str, Candidates]) -> set[str]:
        good = {row["uri"]: row for row in rows if not row["error"]}
        chosen: set[str] = set()
        for some in candidates.values():
            usable = [good[uri] for uri in some.uris if uri in good and (some.named or good[uri]["normal"])]
            chosen.update(sorted({row["image_id"] for row in usable})[: some.most])
        return chosen

    def tables(self) -> dict[str, pa.Table]:
        """The corpus' tables by name."""
        return {
            "manifest": _table(self.manifest, MANIFEST),
            "labels": _table(self.labels, LABELS),
            "quarantine": _table(self.quarantine, QUARANTINE),
            "duplicates": _table(self.duplicates, DUPLICATES),
            "near_duplicates": _table(self.near_duplicates, NEAR_DUPLICATES),
            "hashes": _table(self.manifest, HASHES),
            "bad_labels": _table(self.bad_labels, BAD_LABELS),
            "statistics": self.statistics(),
        }

    def statistics(self) -> pa.Table:
        """Figures by category, see `category_statistics`."""
        labelled = (row["image_id"] for row in self.labels)
        return category_statistics(self.manifest, labelled, self._quarantined)

    def counts(self) -> dict[str, Any]:
        """Figures for the stage's record."""
        splits = Counter(row["split"] for row in self.manifest)
        return {
            "images": len(self.manifest),
            "categories": len({row["category"] for row in self.manifest}),
            "train": splits["train"],
            "test": splits["test"],
            "unlabelled": splits["unlabelled"],
            "pretraining": splits["train"] + splits["unlabelled"],
            "references": sum(row["role"] == REFERENCE for row in self.manifest),
            "labelled": len(self.labels),
            "labelled_with_defects": sum(bool(row["boxes"]) for row in self.labels),
            "quarantined": len(self.quarantine),
            "duplicates": len(self.duplicates),
            "near_duplicates": len({row[side] for row in self.near_duplicates for side in _SIDES}),
            "near_duplicate_groups": len({row["group"] for row in self.near_duplicates}),
            "empty_masks": self.empty_masks,
            "bad_labels": len(self.bad_labels),
        }


_SIDES = ("image_id_a", "image_id_b")


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)


def check_bad_share(bad: int, total: int, limit: float, stage: str, first_reason: str) -> None:
    """Fail a stage that met too many bad images.

    Raises:
        UserError: `bad / total` is above `limit`.
    """
    if total and bad / total > limit:
        raise UserError(
            f"{stage}: {bad} of {total} images can't be used (first: {first_reason}), more than "
            f"{stage}.max_bad_share={limit:g} allows; repair or remove them, or raise the share."
        )
