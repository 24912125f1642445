"""COCO's objects of one image: boxes as x, y, width, height, masks as polygons or run lengths."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.annotations.base import (
    Annotation,
    AnnotationError,
    LabelledBox,
    Mask,
    Truth,
    checked_box,
    checked_count,
    checked_size,
    finite,
    mapping,
)
from pipelines.annotations.faults import Faults
from pipelines.annotations.polygons import Polygon, checked_polygon, mask_of_polygons
from pipelines.annotations.rle import decode_mask, mask_of_counts

MAX_MASK_PIXELS = 10**10  # run lengths of a few characters can ask for any number of whole-image masks


def read_coco(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """The objects of one image; crowds are in the mask but are no boxes, as in COCO's protocol.

    `annotation.content` is JSON: `size` (width, height, or null), `objects` (annotations of the COCO file,
    each with its category's name as `label`, null where the file has no such category). There is a mask where
    every object has one.

    Raises:
        AnnotationError: another size, a box or mask that can't be used.
    """
    content = json.loads(annotation.content)
    if content["size"] is not None:
        checked_size((finite(content["size"][0]), finite(content["size"][1])), width, height)
    objects = content["objects"]
    checked_count(len(objects))
    file = annotation.files[0] if annotation.files else ""
    boxes: list[LabelledBox] = []
    polygons: list[Polygon] = []
    counted: list[Mapping[str, Any]] = []
    for item in objects:
        with faults.at(file, place=f"annotation {str(item.get('id'))[:20]}") as spot:
            mended = spot.mended if spot.clip else None
            segmentation = item.get("segmentation")
            if isinstance(segmentation, list):
                polygons += _polygons(segmentation, width, height, mended)
            elif segmentation:
                counted.append(mapping(segmentation, "its segmentation"))
            if not item.get("iscrowd"):
                if item["label"] is None:
                    raise AnnotationError(f"its category {str(item.get('category_id'))[:20]} is not listed")
                boxes.append(checked_box(_corners(item), item["label"], width, height, mended))
    if not objects or not all(item.get("segmentation") for item in objects):
        return Truth(tuple(boxes))
    if len(counted) * width * height > MAX_MASK_PIXELS:
        raise AnnotationError(f"{len(counted):,} run-length masks are more than its size allows")
    mask = mask_of_polygons(polygons, width, height)
    for runs in counted:
        mask |= _counted(runs, width, height)
    return Truth(tuple(boxes), mask)


def mask_of_object(item: Mapping[str, Any], width: int, height: int, *, clip: bool) -> Mask | None:
    """The pixels of one object, (height, width); None where it has only a box.

    Args:
        item: one of `objects`, see `read_coco`.
        width, height: the image's size in pixels.
        clip: whether polygons that stick out are cut off.

    Raises:
        AnnotationError: a mask that can't be used.
    """
    segmentation = item.get("segmentation")
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        return mask_of_polygons(_polygons(segmentation, width, height, [] if clip else None), width, height)
    return _counted(mapping(segmentation, "its segmentation"), width, height)


def _corners(item: Mapping[str, Any]) -> tuple[float, float, float, float]:
    box = item.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise AnnotationError("its bbox is no list of x, y, width, height")
    x, y, w, h = (finite(value) for value in box)
    return x, y, x + w, y + h


def _polygons(segmentation: list[Any], width: int, height: int, mended: list[str] | None) -> list[Polygon]:
    if not all(isinstance(flat, list) for flat in segmentation):
        raise AnnotationError("its segmentation is no list of polygons")
    return [checked_polygon(flat, width, height, mended) for flat in segmentation]


def _counted(runs: Mapping[str, Any], width: int, height: int) -> Mask:
    if runs.get("size") != [height, width]:
        raise AnnotationError(f"its run lengths are not for {height} rows and {width} columns")
    counts = runs.get("counts")
    if isinstance(counts, str):
        return decode_mask(counts, width, height)
    if not isinstance(counts, list) or not all(
        isinstance(count, int) and 0 <= count <= width * height for count in counts
    ):
        raise AnnotationError("its run lengths are no whole numbers of at least 0")
    return mask_of_counts(np.array(counts, dtype=np.int64), width, height)
