"""Images that heads learn from, and the masks of their defects: painted ones, or labelled ones."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.errors import UserError
from pipelines.annotations import decode_mask, mask_of_boxes
from pipelines.images import resized
from pipelines.painting import PaintSettings, paint
from pipelines.tables import CorpusTables, LabelRow, ManifestRow, box_array, has_defect
from training.models import Image
from training.pictures import read_pixels

MASK_SIDE = 144  # pixels of the side at which masks are compared with maps
FEWEST, FEWEST_DEFECTIVE = 8, 2  # images below which nothing is learnt
TURNS = 4  # quarters of a turn: copies of an image are turned, each otherwise

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Example:
    """An image that is learnt from.

    Attributes:
        row: its row of the manifest.
        label: what is known of it; None where it is painted on instead.
        copy: number of its copy, from 0.
    """

    row: ManifestRow
    label: LabelRow | None
    copy: int

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{self.row['image_id']}-{self.copy}"


def painted_examples(tables: CorpusTables, images: int, copies: int) -> list[list[Example]]:
    """Copies of the images outside the test split, an image's copies together, in an order of their content.

    Args:
        tables: the corpus'.
        images: most images.
        copies: copies of each.

    Raises:
        UserError: fewer than eight images.
    """
    rows = _by_content([row for row in tables.manifest() if row["split"] != "test"])[:images]
    _require(len(rows), "images outside the test split")
    return [[Example(row, None, copy) for copy in range(copies)] for row in rows]


def labelled_examples(tables: CorpusTables, images: int) -> list[list[Example]]:
    """Labelled images outside the test split; one with regions that are no objects is left out.

    Raises:
        UserError: fewer than eight images, or fewer than two with a defect.
    """
    labels = tables.labels()
    known = [
        row
        for row in tables.manifest()
        if row["split"] != "test" and row["image_id"] in labels and not labels[row["image_id"]]["ignored"]
    ]
    rows = _by_content(known)[:images]
    _require(len(rows), "labelled images outside the test split")
    defective = sum(has_defect(labels[row["image_id"]]) for row in rows)
    if defective < FEWEST_DEFECTIVE:
        raise UserError(
            f"{defective} labelled images outside the test split have a defect, and a head needs "
            f"{FEWEST_DEFECTIVE}: one to learn from, one to be judged by; add some."
        )
    return [[Example(row, labels[row["image_id"]], 0)] for row in rows]


def pixels_and_mask(example: Example, settings: PaintSettings, seed: int) -> tuple[Image, Mask]:
    """(H, W, 3) uint8 RGB of an example, and (H, W) bool, where it is defective.

    A box without a mask is filled. Copies of a painted image are turned by quarters and mirrored, so that
    the head sees no defect twice in one place.

    Args:
        example: the example.
        settings: how it is painted, where it is.
        seed: seed of the painting.

    Raises:
        UserError: the image can't be read any more.
    """
    row = example.row
    levels = row.get("levels")
    image = read_pixels(row["uri"], None if levels is None else (levels[0], levels[1]))
    if example.label is not None:
        return image, labelled_mask(example.label, image.shape[1], image.shape[0])
    painted = paint(image, seed=seed, image_id=example.name, settings=settings)
    turns, mirrored = example.copy % TURNS, example.copy // TURNS % 2 == 1
    turned, mask = np.rot90(painted.image, turns), np.rot90(painted.mask, turns)
    if mirrored:
        turned, mask = turned[:, ::-1], mask[:, ::-1]
    return np.ascontiguousarray(turned), np.ascontiguousarray(mask)


def labelled_mask(label: LabelRow, width: int, height: int) -> Mask:
    """(H, W) bool of a labelled image."""
    if label["mask"] is not None:
        return np.asarray(decode_mask(label["mask"], width, height), np.bool_)
    return mask_of_boxes(box_array(label["boxes"]), width, height)


def shrunk(mask: Mask) -> npt.NDArray[np.uint8]:
    """The share of each of `MASK_SIDE`² places that is defective, of 255."""
    share = resized(mask.astype(np.float32), MASK_SIDE, MASK_SIDE)
    return np.asarray(np.rint(share * 255), np.uint8)


def _by_content(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    return sorted(rows, key=lambda row: hashlib.sha256(row["image_id"].encode()).digest())


def _require(count: int, what: str) -> None:
    if count < FEWEST:
        raise UserError(f"There are {count} {what}, and a head needs {FEWEST} to learn from; add some.")


def chunks(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    """Runs of so many examples."""
    for start in range(0, len(examples), size):
        yield examples[start : start + size]
