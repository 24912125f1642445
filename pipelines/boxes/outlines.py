"""Regions of maps as COCO's masks: run lengths, or polygons along the pixels' edges."""

from collections.abc import Mapping
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from faster_coco_eval.core import mask as coco_mask

from pipelines.boxes.region import Region

Outlines = Literal["none", "runs", "polygons"]
BLOCK = 3  # a pixel is drawn so large that corners of its block tell its edges


def runs_of(region: Region, width: int, height: int) -> str:
    """COCO's run-length text of a region in an image of these sides."""
    whole = np.zeros((height, width), np.uint8, order="F")
    rows, columns = region.inside.shape
    whole[region.y : region.y + rows, region.x : region.x + columns] = region.inside
    return str(coco_mask.encode(whole)["counts"], "ascii")


def polygons_of(inside: npt.NDArray[np.bool_], x: int, y: int) -> list[list[float]]:
    """Outlines of a mask, each x, y, x, y, … in pixels, whole numbers; holes are filled.

    Args:
        inside: (h, w) bool.
        x, y: the mask's corner in the image.
    """
    large = cv2.resize(inside.astype(np.uint8), None, fx=BLOCK, fy=BLOCK, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        # A contour turns at a block's first or last pixel: the edge before, or the one behind.
        corners = (contour[:, 0].astype(np.int64) + 1) // BLOCK + [x, y]
        kept = corners[(corners != np.roll(corners, 1, axis=0)).any(1)]
        found.append([float(side) for side in kept.ravel()])
    return found


def segmentation(runs: str, width: int, height: int, kind: Outlines) -> tuple[Any, int]:
    """COCO's `segmentation` of run-length text, and its `area` in pixels.

    Args:
        runs: result of `runs_of`.
        width, height: the image's sides in pixels.
        kind: `runs`, or `polygons`, which leave holes out of the shape but not out of the area.
    """
    written: Mapping[str, Any] = {"size": [height, width], "counts": runs}
    area = int(coco_mask.area(written))
    if kind == "runs":
        return written, area
    return polygons_of(coco_mask.decode(written).astype(np.bool_), 0, 0), area
