"""COCO's objects of one image: boxes as x, y, width, height, masks as polygons or run lengths."""

import json
from collections.abc import Callable, Mapping
from functools import partial
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
    turned_corners,
)
from pipelines.annotations.crowds import assumption, flag, is_crowd
from pipelines.annotations.faults import Faults
from pipelines.annotations.mask_boxes import box_around
from pipelines.annotations.polygons import Polygon, checked_polygon, drawn_polygons, mask_of_polygons
from pipelines.annotations.rle import decode_mask, mask_of_counts

MAX_MASK_PIXELS = 10**10  # run lengths of a few characters can ask for any number of whole-image masks


def read_coco(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """The objects of one image; crowds are in the mask and are ignored regions, as in COCO's protocol.

    `annotation.content` is JSON: `size` (width, height, or null), `objects` (annotations of the COCO file,
    each with its category's name as `label`, null where the file has no such category, `tagged`, of a box
    that CVAT turned `rotation`, degrees clockwise, of one whose area is that of corners `cornered`, and
    `ignore` where it is marked), `among_objects` (see `crowds.is_crowd`). There is a mask where every object
    has one. What is marked `ignore` is what VOC calls difficult, see `read_voc`.

    Raises:
        AnnotationError: another size, a box or mask that can't be used.
    """
    content = json.loads(annotation.content)
    if content["size"] is not None:
        checked_size((finite(content["size"][0]), finite(content["size"][1])), width, height)
    objects = content["objects"]
    checked_count(len(objects))
    counted = sum(isinstance(item.get("segmentation"), Mapping) for item in objects)
    if counted * width * height > MAX_MASK_PIXELS:
        raise AnnotationError(f"{counted:,} run-length masks are more than its size allows")
    file = annotation.files[0] if annotation.files else ""
    boxes: list[LabelledBox] = []
    ignored: list[LabelledBox] = []
    polygons: list[Polygon] = []
    whole: Mask = np.zeros((height, width), np.bool_)
    for item in objects:
        with faults.at(file, place=f"annotation {str(item.get('id'))[:20]}") as spot:
            if item["label"] is None:
                raise AnnotationError(f"its category {str(item.get('category_id'))[:20]} is not listed")
            mended = spot.mended if spot.clip else None
            marked, crowd = marks_of(item, annotation, content)
            outlines, pixels = _outlined(item, width, height, mended), _counted(item, width, height)
            drawn = partial(_drawn, outlines, pixels, width, height)
            corners = _corners(item, drawn, marked=marked, mended=mended)
            (ignored if crowd else boxes).append(checked_box(corners, item["label"], width, height, mended))
            if marked and annotation.crowds == "auto":
                spot.mended.append(assumption("iscrowd 1", crowd))
            polygons += outlines
            if pixels is not None:
                whole |= pixels
    known = bool(objects) and all(item.get("segmentation") for item in objects)
    mask = whole | mask_of_polygons(polygons, width, height) if known else None
    return Truth(tuple(boxes), mask, tuple(ignored))


def marks_of(
    item: Mapping[str, Any], annotation: Annotation, content: Mapping[str, Any]
) -> tuple[bool, bool]:
    """Whether an object has `iscrowd: 1`, and whether it is a crowd.

    Args:
        item: one of `objects`, see `read_coco`.
        annotation: the image's annotation.
        content: its content, read.

    Raises:
        AnnotationError: `iscrowd` or `ignore` is neither 0 nor 1.
    """
    marked = flag(item.get("iscrowd"), "iscrowd")
    if not marked and flag(item.get("ignore"), "ignore"):
        return False, annotation.crowds == "ignored"
    return marked, marked and is_crowd(item, annotation.crowds, content.get("among_objects", True))


def mask_of_object(item: Mapping[str, Any], width: int, height: int, *, clip: bool) -> Mask | None:
    """The pixels of one object, (height, width); None where it has only a box.

    Args:
        item: one of `objects`, see `read_coco`.
        width, height: the image's size in pixels.
        clip: whether polygons that stick out are cut off.

    Raises:
        AnnotationError: a mask that can't be used.
    """
    outlines = _outlined(item, width, height, [] if clip else None)
    return _drawn(outlines, _counted(item, width, height), width, height)


def _drawn(outlines: list[Polygon], pixels: Mask | None, width: int, height: int) -> Mask | None:
    return mask_of_polygons(outlines, width, height) if outlines else pixels


def _corners(
    item: Mapping[str, Any], mask: Callable[[], Mask | None], *, marked: bool, mended: list[str] | None
) -> tuple[float, float, float, float]:
    """Corners of the object's box, its mask's where the box can't be relied on.

    Args:
        item: one of `objects`, see `read_coco`.
        mask: the object's mask, drawn only where it is needed.
        marked: whether it has `iscrowd: 1`; tools that write so leave the box to the mask.
        mended: list of repairs; if given, the mask gives a side without length, and it is noted here.

    Raises:
        AnnotationError: no box, or a mask without a pixel.
    """
    if marked and isinstance(item.get("segmentation"), Mapping) and (pixels := mask()) is not None:
        return box_around(pixels)
    box = item.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise AnnotationError("its bbox is no list of x, y, width, height")
    x, y, w, h = (finite(value) for value in box)
    if item.get("cornered"):
        raise AnnotationError(
            f"its bbox ({x:g}, {y:g}, {w:g}, {h:g}) seems to be x0, y0, x1, y1, as its area is theirs; COCO "
            "has x, y, width, height"
        )
    if item.get("rotation"):
        return turned_corners((x, y, x + w, y + h), finite(item["rotation"]))
    if mended is None or min(w, h) != 0 or (pixels := mask()) is None:
        return x, y, x + w, y + h
    left, top, right, bottom = box_around(pixels)
    mended.append(f"box ({x:g}, {y:g}, {x + w:g}, {y + h:g}) has no area: widened to its mask")
    return (x if w else left), (y if h else top), (x + w if w else right), (y + h if h else bottom)


def _outlined(item: Mapping[str, Any], width: int, height: int, mended: list[str] | None) -> list[Polygon]:
    """The object's polygons; none where it has no outlines."""
    segmentation = item.get("segmentation")
    if not isinstance(segmentation, list) or not segmentation:
        return []
    if not all(isinstance(flat, list) for flat in segmentation):
        raise AnnotationError("its segmentation is no list of polygons")
    polygons = [checked_polygon(flat, width, height, mended) for flat in segmentation]
    return drawn_polygons(polygons, width, height, mended)


def _counted(item: Mapping[str, Any], width: int, height: int) -> Mask | None:
    """The object's mask of run lengths; None where it has none."""
    segmentation = item.get("segmentation")
    if not segmentation or isinstance(segmentation, list):
        return None
    runs = mapping(segmentation, "its segmentation")
    if runs.get("size") != [height, width]:
        raise AnnotationError(f"its run lengths are not for {height} rows and {width} columns")
    counts = runs.get("counts")
    if isinstance(counts, str):
        mask = decode_mask(counts, width, height)
    elif isinstance(counts, list) and all(
        isinstance(count, int) and 0 <= count <= width * height for count in counts
    ):
        mask = mask_of_counts(np.array(counts, dtype=np.int64), width, height)
    else:
        raise AnnotationError("its run lengths are no whole numbers of at least 0")
    if not mask.any():
        raise AnnotationError("its run lengths mark no pixel")
    return mask
