"""Fig. 5 of the paper: maps of WinCLIP and KeAD side by side, beside the true masks."""

from collections.abc import Sequence
from itertools import chain, zip_longest

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.encoder import LoadedEncoder
from pipelines.maps import MapsSection, upsample
from training.pictures import Picture, heat_over, mask_over
from tuning.table4.grid import MethodRow
from tuning.table4.labelled_set import LabelledImage, LabelledSet
from tuning.table4.measuring import maps_of

ROWS = (MethodRow("WinCLIP", "few"), MethodRow("KeAD", "few", defect_features=True, vv=True))
MOST_IMAGES, SIDE, HEAD, GAP = 8, 200, 22, 4  # SIDE, HEAD and GAP in pixels
INK, PAPER = (30, 30, 30), 255


def shown(labelled: LabelledSet, most: int = MOST_IMAGES) -> list[LabelledImage]:
    """Defective images with masks, categories in turn, in the order of their content's ids.

    None is chosen by how well a map looks on it.

    Args:
        labelled: images with labels.
        most: most images.
    """
    masked = [image for image in labelled.images if image.defective and image.runs is not None]
    by_category = [
        sorted((image for image in masked if image.category == name), key=lambda image: image.image_id)
        for name in labelled.categories
    ]
    turns = chain.from_iterable(zip_longest(*by_category))
    return [image for image in turns if image is not None][:most]


def fig5_picture(base: MapsSection, encoder: LoadedEncoder, labelled: LabelledSet) -> bytes | None:
    """A PNG: image, mask, and the map of each method; a line an image.

    A method's colours go from the lowest to the highest value of its maps of the images shown.

    Returns:
        None without a masked defect, or where one of the methods can't be run here.

    Raises:
        UserError: an image can't be read any more; a category without prompts.
    """
    images = shown(labelled)
    if not images:
        return None
    columns = [maps_of(row, base, encoder, labelled, images) for row in ROWS]
    maps = [column for column in columns if column is not None]
    return _drawn(images, maps) if len(maps) == len(ROWS) else None


def _drawn(images: Sequence[LabelledImage], columns: Sequence[Sequence[npt.NDArray[np.float32]]]) -> bytes:
    limits = [
        (min(float(one.min()) for one in maps), max(float(one.max()) for one in maps)) for maps in columns
    ]
    lines = [_heads(["image", "truth", *(row.model for row in ROWS)])]
    for place, image in enumerate(images):
        picture = image.pixels()
        tiles = [picture, mask_over(picture, image.mask())]
        for maps, (low, high) in zip(columns, limits, strict=True):
            whole = upsample(np.asarray(maps[place], np.float32), image.width, image.height)
            tiles.append(heat_over(picture, whole, low, max(high, low + 1e-6)))
        lines.append(np.concatenate([_tile(tile) for tile in tiles], axis=1))
    page = np.concatenate(lines, axis=0)
    return bytes(cv2.imencode(".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR))[1].tobytes())


def _tile(picture: Picture) -> Picture:
    """The picture in a white square, its aspect kept."""
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    tile = np.full((SIDE + GAP, SIDE + GAP, 3), PAPER, np.uint8)
    tile[: size[1], : size[0]] = small
    return tile


def _heads(names: Sequence[str]) -> Picture:
    line = np.full((HEAD, len(names) * (SIDE + GAP), 3), PAPER, np.uint8)
    for place, name in enumerate(names):
        where = (place * (SIDE + GAP) + GAP, HEAD - 7)
        cv2.putText(line, name, where, cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    return line
