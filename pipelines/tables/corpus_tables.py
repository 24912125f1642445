"""The reader of a corpus artifact: manifest, references, labels, masks, hashes, held-out images."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, cast

import pyarrow as pa
import pyarrow.compute as pc

from cluster.storage import Storage

MANIFEST_FOLDER = "manifest"
LABELS_FILE = "labels.parquet"
HASHES_FILE = "hashes.parquet"

# Roles of an image in the manifest.
REFERENCE, TRAIN = "reference", "train"

Split = Literal["train", "test", "unlabelled"]


class ManifestRow(TypedDict):
    """An image of the corpus; see `CorpusTables.manifest`."""

    image_id: str
    uri: str
    category: str
    split: Split
    role: str
    width: int
    height: int
    levels: list[float] | None


class LabelledBoxRow(TypedDict):
    """A labelled box, sides in pixels of the original image."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: str


class LabelRow(TypedDict):
    """What is known of one image; see `CorpusTables.labels`."""

    image_id: str
    boxes: list[LabelledBoxRow]
    mask: str | None
    ignored: list[LabelledBoxRow]


def has_defect(row: Mapping[str, Any]) -> bool:
    """Whether a labelled image shows a defect: as an object, or in a region that evaluation ignores.

    Args:
        row: a row with `boxes` and `ignored`, as of `CorpusTables.labels`.
    """
    return bool(row["boxes"]) or bool(row["ignored"])


class CorpusTables:
    """The tables of a `corpus` or `labels` artifact, read anew at each call by plain pyarrow.

    Args:
        directory: the artifact's directory.
    """

    def __init__(self, directory: Storage) -> None:
        self.directory = directory

    def manifest_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The manifest as a table, schema `MANIFEST` or the given columns of it."""
        names = None if columns is None else list(columns)
        return self.directory.read_table(MANIFEST_FOLDER, columns=names)

    def manifest(
        self, *, split: Split | None = None, columns: Sequence[str] | None = None
    ) -> list[ManifestRow]:
        """Images of the corpus.

        Args:
            split: the only split wanted; None for all.
            columns: the only columns read, `split` among them where a split is asked for; None for all.

        Returns:
            Rows in the table's order: `image_id` (content hash), `uri`, `category`, `split` (`train`, `test`,
            `unlabelled`), `role` (`reference`, `train`), `width` and `height` in pixels,
            `levels` (black and white of an image of more than 8 bits; None takes its own).
        """
        rows = cast(list[ManifestRow], self.manifest_table(columns).to_pylist())
        return [row for row in rows if split is None or row["split"] == split]

    def held_out(self) -> frozenset[str]:
        """Ids of the test split, which pretraining must never see."""
        table = self.manifest_table(("image_id", "split"))
        return frozenset(table.filter(pc.field("split") == "test").column("image_id").to_pylist())

    def pretraining(self) -> frozenset[str]:
        """Ids of the images outside the test split."""
        table = self.manifest_table(("image_id", "split"))
        return frozenset(table.filter(pc.field("split") != "test").column("image_id").to_pylist())

    def references(self) -> dict[str, list[str]]:
        """category → URIs of its normal references, in the manifest's order; every category has a key."""
        table = self.manifest_table(("uri", "category", "role"))
        uris: dict[str, list[str]] = {name: [] for name in sorted(pc.unique(table["category"]).to_pylist())}
        for row in table.filter(pc.field("role") == REFERENCE).to_pylist():
            uris[row["category"]].append(row["uri"])
        return uris

    def levels(self, key: Literal["image_id", "uri"] = "image_id") -> dict[str, tuple[float, float]]:
        """Id (or URI) → black and white of the images that don't take their own; see `Source.levels`.

        None in a manifest that was written before sources had levels: there each image took its own.
        """
        table = self.manifest_table()
        if "levels" not in table.column_names:
            return {}
        rows = table.select([key, "levels"]).filter(pc.field("levels").is_valid()).to_pylist()
        return {row[key]: (row["levels"][0], row["levels"][1]) for row in rows}

    def labels(self) -> dict[str, LabelRow]:
        """image_id → what is known of it; an image without labels has no key.

        A row has `image_id`, `boxes` (none for a normal image), `mask`: COCO's run-length text at the image's
        size, None where no pixel truth is known, and `ignored`: regions with defects that are no objects
        (none in a table of before they were kept).
        """
        rows = cast(list[LabelRow], self.directory.read_table(LABELS_FILE).to_pylist())
        return {row["image_id"]: {**row, "ignored": row.get("ignored") or []} for row in rows}

    def boxes(self) -> dict[str, list[LabelledBoxRow]]:
        """image_id → its labelled boxes; an empty list where none is an object, see `has_defect`."""
        table = self.directory.read_table(LABELS_FILE, columns=["image_id", "boxes"])
        return {row["image_id"]: row["boxes"] for row in table.to_pylist()}

    def ignored(self) -> dict[str, list[LabelledBoxRow]]:
        """image_id → its regions with defects that are no objects, where it has any."""
        return {image_id: row["ignored"] for image_id, row in self.labels().items() if row["ignored"]}

    def masks(self) -> dict[str, str]:
        """image_id → COCO's run-length text of its defects, where pixel truth is known."""
        table = self.directory.read_table(LABELS_FILE, columns=["image_id", "mask"])
        return {row["image_id"]: row["mask"] for row in table.to_pylist() if row["mask"] is not None}

    def labelled(self) -> frozenset[str]:
        """Ids of the images whose truth is known, normal ones included."""
        table = self.directory.read_table(LABELS_FILE, columns=["image_id"])
        return frozenset(table.column("image_id").to_pylist())

    def hashes(self) -> dict[str, str]:
        """image_id → its perceptual hash, hex."""
        rows = self.directory.read_table(HASHES_FILE, columns=["image_id", "phash"]).to_pylist()
        return {row["image_id"]: row["phash"] for row in rows}
