"""Labelled images of a corpus for measuring maps: images to judge, and references. No Ray here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster.errors import UserError
from cluster.progress import progress
from pipelines.annotations import decode_mask, mask_of_boxes
from pipelines.corpus import Corpus, CorpusSection, Listing, inspect
from pipelines.images import Levels
from pipelines.tables import REFERENCE, box_array, has_defect
from training.pictures import read_pixels

CHUNK = 64  # images between two signs of progress


@dataclass(frozen=True)
class LabelledImage:
    """One image whose truth is known.

    Attributes:
        defective: whether it has a defect.
        runs: its pixel mask as COCO run-length text; None for normal images and where only boxes are known.
        boxes: x0, y0, x1, y1 of its defects, pixels, where they are all that is known of them; else none.
        width, height: size in pixels.
        levels: black and white where it has more than 8 bits; None takes its own.
        image_id: its content's id.
    """

    uri: str
    category: str
    defective: bool
    runs: str | None
    width: int
    height: int
    levels: Levels | None = None
    image_id: str = ""
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    def pixels(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB.

        Raises:
            UserError: it can't be read any more.
        """
        return read_pixels(self.uri, self.levels)

    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W) bool, True where defective; all False for a normal image. Boxes are filled."""
        if self.runs is None:
            return mask_of_boxes(self.boxes, self.width, self.height)
        return decode_mask(self.runs, self.width, self.height)


@dataclass(frozen=True)
class LabelledSet:
    """Images to judge, and URIs of normal references by category; none of them is judged.

    `levels` holds black and white by URI, of the references that don't take their own.
    """

    images: tuple[LabelledImage, ...]
    references: Mapping[str, tuple[str, ...]]
    levels: Mapping[str, Levels] = field(default_factory=dict)

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories of the judged images, sorted."""
        return tuple(sorted({image.category for image in self.images}))

    @property
    def has_places(self) -> bool:
        """Whether it is known of every defective image where its defects are, by a mask or by boxes."""
        return all(image.runs is not None or image.boxes for image in self.images if image.defective)

    @property
    def filled(self) -> int:
        """Images of which boxes alone are known."""
        return sum(bool(image.boxes) for image in self.images)


def inspect_listing(listing: Listing) -> pa.Table:
    """Every listed image hashed and decoded in this process; rows of `pipelines.corpus.inspect`."""
    rows = listing.table(listing.levels)
    with progress("hashing and decoding", rows.num_rows) as bar:

        def parts() -> Iterator[pa.Table]:
            for start in range(0, rows.num_rows, CHUNK):
                part = rows.slice(start, CHUNK)
                yield inspect(part)
                bar.advance(part.num_rows)

        return pa.concat_tables(list(parts()))


def labelled_set(inspected: pa.Table, section: CorpusSection, listing: Listing) -> LabelledSet:
    """The labelled images that are no references, of both splits, as nothing is trained.

    Args:
        inspected: rows from `inspect_listing`.
        section, listing: config and listing of the corpus.

    Raises:
        UserError: too many images or labels are bad, or none is labelled.
    """
    candidates, faults = listing.reference_candidates(section), listing.label_faults()
    corpus = Corpus(inspected, section, candidates, label_faults=faults)
    corpus.refuse_unusable()
    references: dict[str, list[str]] = {row["category"]: [] for row in corpus.manifest}
    for row in corpus.manifest:
        if row["role"] == REFERENCE:
            references[row["category"]].append(row["uri"])
    levels = {
        row["uri"]: (pair[0], pair[1]) for row in corpus.manifest if (pair := row["levels"]) is not None
    }
    used = {uri for uris in references.values() for uri in uris}
    images = tuple(
        LabelledImage(
            row["uri"],
            row["category"],
            has_defect(row),
            row["mask"],
            row["width"],
            row["height"],
            levels.get(row["uri"]),
            row["image_id"],
            _boxes(row),
        )
        for row in corpus.labels
        if row["uri"] not in used
    )
    if not images:
        raise UserError(
            "The corpus has no labelled image beside its references; the study needs masks, boxes or "
            "images known to be normal, as a layout with labels reads them."
        )
    return LabelledSet(images, {name: tuple(uris) for name, uris in references.items()}, levels)


def _boxes(row: Mapping[str, Any]) -> tuple[tuple[float, float, float, float], ...]:
    """Boxes of an image without a mask; none where a region to be ignored has no pixels to leave out."""
    if row["mask"] is not None or row["ignored"]:
        return ()
    return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in box_array(row["boxes"]).tolist())
