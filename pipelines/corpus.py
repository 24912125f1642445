"""What a corpus is made of: listing, references, split, duplicates and quarantine. No Ray here."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
from pydantic import Field, field_validator

from cluster.config import Section
from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.contamination import content_hash
from pipelines.corpus_statistics import category_statistics, grey_levels
from pipelines.images import ImageError, decode_image, read_bytes, read_mask
from pipelines.layouts import LAYOUTS, find_layout
from pipelines.layouts.base import image_files
from pipelines.mask_boxes import boxes_of_mask
from pipelines.near_duplicates import DEFAULT_DISTANCE, group_images, perceptual_hash
from pipelines.split import held_out_ids
from pipelines.tables import DUPLICATES, HASHES, LABELLED_BOX, LABELS, MANIFEST, NEAR_DUPLICATES, QUARANTINE

REFERENCE, TRAIN = "reference", "train"


class CorpusSection(Section):
    """Which images there are.

    Attributes:
        root: folder or object-storage URI of the images; must be given unless images are generated.
        layout: name of a dataset layout, or `auto`.
        references: relative paths of normal images by category; a category left out takes
            `reference_count` of those its layout marks as normal (folders `references`, `good`, …), by hash.
        reference_count: normal references a category keeps (the method uses 1–4).
        test_share: share of the labelled images, by content hash, that is held out for evaluation and never
            used in pretraining; near-duplicates are on one side.
        near_duplicate_distance: bits of 256 in which the perceptual hashes of near-duplicates differ at
            most, see `pipelines/near_duplicates.py` for what the default was measured on.
        max_bad_share: share of unreadable images above which the stage fails.
    """

    root: str = ""
    layout: str = "auto"
    references: dict[str, tuple[str, ...]] = Field(default={})
    reference_count: int = Field(default=4, ge=0, le=64)
    test_share: float = Field(default=0.5, ge=0, lt=1)
    # Above 96 most pairs of one kind of surface are within the distance.
    near_duplicate_distance: int = Field(default=DEFAULT_DISTANCE, ge=0, le=96)
    max_bad_share: float = Field(default=0.05, ge=0, le=1)

    @field_validator("layout")
    @classmethod
    def _known(cls, name: str) -> str:
        if name != "auto" and name not in LAYOUTS:
            raise ValueError(f"no such dataset layout; valid: auto, {', '.join(sorted(LAYOUTS))}")
        return name


class Listing:
    """Every image file of a corpus as its layout reads it, before any pixel is read.

    Args:
        section: the corpus' config.

    Raises:
        UserError: no folder, no image, an unknown reference path.
    """

    def __init__(self, section: CorpusSection) -> None:
        self.root = Storage.open(section.root)
        self.files = image_files(self.root)
        paths = [PurePosixPath(path) for path in self.files]
        layout = find_layout(section.layout, paths)
        self.layout = layout.name
        self.entries = list(layout.read(paths))
        if not self.entries:
            raise UserError(
                f"{section.root} holds image files, but none where the layout {layout.name} expects them; "
                "set corpus.layout to another one or move the images."
            )
        self._check_references(section)

    def _check_references(self, section: CorpusSection) -> None:
        known = {entry.path: entry.category for entry in self.entries}
        categories = set(known.values())
        for category, names in section.references.items():
            if category not in categories:
                raise UserError(
                    f'corpus.references names the category "{category}", which {section.root} does not have; '
                    f"it has: {', '.join(sorted(categories)[:20])}."
                )
            for name in names:
                if known.get(name) != category:
                    raise UserError(
                        f'corpus.references.{category} names "{name}", which is no image of that category '
                        f"below {section.root}; give paths relative to it."
                    )

    def digest(self) -> str:
        """Changes when a file is added, removed or changed (by name, size and time)."""
        lines = (f"{path}\0{size}\0{mtime}" for path, (size, mtime) in self.files.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def reference_candidates(self, section: CorpusSection) -> dict[str, list[str]]:
        """Paths that may serve as normal references, by category (every category has a row)."""
        found: dict[str, list[str]] = {entry.category: [] for entry in self.entries}
        for entry in self.entries:
            if entry.category in section.references:
                found[entry.category] = list(section.references[entry.category])
            elif entry.normal:
                found[entry.category].append(entry.path)
        return found

    def require_references(self, section: CorpusSection, shots: int) -> None:
        """Refuse few-shot work where a category has too few normal references.

        Raises:
            UserError: naming the category and what to add.
        """
        for category, paths in sorted(self.reference_candidates(section).items()):
            available = min(
                len(paths), max(section.reference_count, len(section.references.get(category, ())))
            )
            if available < shots:
                where = f"{section.root}/{category}/references" if self.layout == "folder" else section.root
                raise UserError(
                    f'Category "{category}" has {available} normal reference images and maps.kead.shots='
                    f"{shots} needs {shots}: put normal images into {where}, name them in "
                    f"corpus.references.{category}, or set maps.kead.shots=0 (zero-shot)."
                )

    def table(self) -> pa.Table:
        """The rows to inspect: uri, path, category, normal, labelled, label, mask_uri."""
        rows = [
            {
                "uri": f"{self.root.uri}/{entry.path}",
                "path": entry.path,
                "category": entry.category,
                "normal": entry.normal,
                "labelled": entry.labelled,
                "label": entry.label,
                "mask_uri": f"{self.root.uri}/{entry.mask}" if entry.mask else None,
            }
            for entry in self.entries
        ]
        return pa.Table.from_pylist(rows, schema=_LISTED)


_LISTED = pa.schema(
    [
        ("uri", pa.string()),
        ("path", pa.string()),
        ("category", pa.string()),
        ("normal", pa.bool_()),
        ("labelled", pa.bool_()),
        ("label", pa.string()),
        ("mask_uri", pa.string()),
    ]
)
_INSPECTED = pa.schema(
    [
        *_LISTED,
        ("image_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("phash", pa.string()),
        ("grey_mean", pa.float64()),
        ("grey_deviation", pa.float64()),
        ("boxes", pa.list_(LABELLED_BOX)),
        ("error", pa.string()),
    ]
)


def inspect(rows: pa.Table) -> pa.Table:
    """Hash and decode each listed image and its mask; what can't be used gets an `error` instead.

    `image_id` is the first 32 hex digits of the file's SHA-256, `phash` its perceptual hash.
    """
    return pa.Table.from_pylist([_inspect_one(row) for row in rows.to_pylist()], schema=_INSPECTED)


def _inspect_one(row: dict[str, Any]) -> dict[str, Any]:
    try:
        data = read_bytes(row["uri"])
        image = decode_image(data)
        height, width = image.shape[:2]
        boxes = []
        if row["mask_uri"] is not None:
            try:
                mask = read_mask(row["mask_uri"])
            except ImageError as error:
                raise ImageError(f"its mask {row['mask_uri']}: {error}") from None
            if mask.shape != (height, width):
                size = f"{mask.shape[1]}×{mask.shape[0]}"
                raise ImageError(f"its mask has {size} pixels, the image {width}×{height}")
            sides = ("x0", "y0", "x1", "y1")
            boxes = [
                {**dict(zip(sides, box, strict=True)), "label": row["label"]} for box in boxes_of_mask(mask)
            ]
    except ImageError as error:
        return {**row, "error": str(error)}
    looks = {"phash": perceptual_hash(image), **grey_levels(image)}
    found = {"image_id": content_hash(data), "width": width, "height": height, "boxes": boxes}
    return {**row, **found, **looks, "error": None}


class Corpus:
    """The inspected images sorted into manifest, labels, quarantine and duplicates.

    Args:
        inspected: rows of `inspect`.
        section: the corpus' config.
        candidates: from `Listing.reference_candidates`.
    """

    def __init__(
        self, inspected: pa.Table, section: CorpusSection, candidates: Mapping[str, Iterable[str]]
    ) -> None:
        rows = sorted(inspected.to_pylist(), key=lambda row: str(row["path"]))
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
        references = self._references(unique, section, candidates)
        self.manifest: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        # A defect image whose mask is empty says neither "normal" nor where the defect is.
        empty = {i for i, row in unique.items() if row["labelled"] and not row["normal"] and not row["boxes"]}
        self.empty_masks = len(empty)
        labelled_ids = {i for i, row in unique.items() if row["labelled"]} - empty
        self.near_duplicates, near_groups = group_images(unique, section.near_duplicate_distance)
        held_out = held_out_ids(near_groups, labelled_ids - references, section.test_share)
        for image_id, row in sorted(unique.items()):
            labelled = image_id in labelled_ids
            split = "test" if image_id in held_out else "train" if labelled else "unlabelled"
            role = REFERENCE if image_id in references else TRAIN
            self.manifest.append({**row, "split": split, "role": role})
            if labelled:
                self.labels.append(row)

    @staticmethod
    def _references(
        unique: Mapping[str, Mapping[str, Any]],
        section: CorpusSection,
        candidates: Mapping[str, Iterable[str]],
    ) -> set[str]:
        ids = {row["path"]: image_id for image_id, row in unique.items()}
        usable: dict[str, list[str]] = defaultdict(list)
        for category, paths in candidates.items():
            usable[category] = sorted(ids[path] for path in paths if path in ids)
            if category not in section.references:
                usable[category] = usable[category][: section.reference_count]
        return {image_id for chosen in usable.values() for image_id in chosen}

    def tables(self) -> dict[str, pa.Table]:
        """The corpus' tables by name."""
        return {
            "manifest": _table(self.manifest, MANIFEST),
            "labels": _table(self.labels, LABELS),
            "quarantine": _table(self.quarantine, QUARANTINE),
            "duplicates": _table(self.duplicates, DUPLICATES),
            "near_duplicates": _table(self.near_duplicates, NEAR_DUPLICATES),
            "hashes": _table(self.manifest, HASHES),
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
