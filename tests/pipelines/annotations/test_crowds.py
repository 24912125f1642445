"""Crowds and difficult objects: objects of their own, or regions that evaluation ignores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st

from pipelines.annotations.base import Annotation, AnnotationError, Truth
from pipelines.annotations.faults import Faults
from pipelines.annotations.instances import read_instances
from pipelines.annotations.names import Crowds
from pipelines.annotations.reading import read_truth
from tests.pipelines.layouts.published_trees import voc_xml

WIDTH, HEIGHT = 30, 20
Corners = tuple[float, float, float, float]


def runs(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's uncompressed counts, by a plain loop."""
    counts, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def rectangle(x0: int, y0: int, x1: int, y1: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def note(
    *items: dict[str, Any], crowds: Crowds = "auto", among_objects: bool = True
) -> tuple[Annotation, Faults]:
    objects = [{"id": number, "label": "dent", **item} for number, item in enumerate(items, start=1)]
    content = {"size": None, "objects": objects, "among_objects": among_objects}
    return Annotation("coco", ("a.json",), content=json.dumps(content), crowds=crowds), Faults(clip=True)


def corners(truth: Truth) -> tuple[list[Corners], list[Corners]]:
    """The corners of boxes and ignored regions."""
    return (
        [(box.x0, box.y0, box.x1, box.y1) for box in truth.boxes],
        [(box.x0, box.y0, box.x1, box.y1) for box in truth.ignored],
    )


BRUSH = {"iscrowd": 1, "bbox": [3, 4, 6, 7], "segmentation": runs(rectangle(3, 4, 9, 11))}
OUTLINE = {"iscrowd": 1, "bbox": [3, 4, 6, 7], "segmentation": [[3, 4, 9, 4, 9, 11, 3, 11]]}
ONLY_BOX = {"iscrowd": 1, "bbox": [3, 4, 6, 7], "segmentation": []}
PLACE = (3, 4, 9, 11)


@pytest.mark.parametrize(
    ("item", "among_objects", "ignored"),
    [
        (BRUSH, False, False),  # all masks of the file are written so
        (BRUSH, True, True),  # COCO's own way
        ({**BRUSH, "tagged": True}, True, False),  # CVAT beside boxes and polygons
        (OUTLINE, False, True),
        ({**OUTLINE, "tagged": True}, True, True),  # nothing but somebody's choice writes it so
        (ONLY_BOX, False, True),
    ],
)
def test_auto_looks_at_how_the_mask_is_written(
    item: dict[str, Any], among_objects: bool, ignored: bool
) -> None:
    annotation, faults = note(item, among_objects=among_objects)
    assert corners(read_truth(annotation, WIDTH, HEIGHT, faults)) == (
        ([], [PLACE]) if ignored else ([PLACE], [])
    )
    (fault,) = faults.found
    assert fault.mended
    assert fault.reason.startswith("annotation 1: iscrowd 1: taken as")
    assert ("region" in fault.reason) is ignored


@pytest.mark.parametrize("item", [BRUSH, {**BRUSH, "tagged": True}, OUTLINE, ONLY_BOX])
def test_the_config_decides_and_nothing_is_assumed(item: dict[str, Any]) -> None:
    decided: dict[Crowds, tuple[list[Corners], list[Corners]]] = {
        "objects": ([PLACE], []),
        "ignored": ([], [PLACE]),
    }
    for crowds, wanted in decided.items():
        annotation, faults = note(item, crowds=crowds)
        assert corners(read_truth(annotation, WIDTH, HEIGHT, faults)) == wanted
        assert not faults.found


def test_an_ignored_region_is_no_normal_image_and_stays_in_the_mask() -> None:
    ring = rectangle(3, 4, 15, 16) & ~rectangle(6, 7, 12, 13)
    annotation, faults = note({"iscrowd": 1, "bbox": [3, 4, 12, 12], "segmentation": runs(ring)})
    truth = read_truth(annotation, WIDTH, HEIGHT, faults)
    assert not truth.empty
    np.testing.assert_array_equal(truth.mask, ring)
    annotation, faults = note(ONLY_BOX)
    truth = read_truth(annotation, WIDTH, HEIGHT, faults)
    assert not truth.empty
    assert truth.mask is None


@settings(deadline=None)
@given(st.integers(0, 29), st.integers(0, 19), st.integers(1, 30), st.integers(1, 20), st.booleans())
def test_a_brush_mask_has_the_box_of_its_pixels(x: int, y: int, w: int, h: int, hole: bool) -> None:
    mask = rectangle(x, y, min(x + w, WIDTH), min(y + h, HEIGHT))
    ys, xs = np.nonzero(mask)
    if hole and len(np.unique(xs)) > 2 and len(np.unique(ys)) > 2:
        mask[y + 1, x + 1] = False
    item = {"iscrowd": 1, "bbox": [0, 0, 0, 0], "segmentation": runs(mask)}
    annotation, faults = note(item, crowds="objects")
    truth = read_truth(annotation, WIDTH, HEIGHT, faults)
    assert corners(truth) == ([(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)], [])
    np.testing.assert_array_equal(truth.mask, mask)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({**BRUSH, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [600]}}, "mark no pixel"),
        ({**BRUSH, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [1]}}, "cover 1 pixels"),
        ({**BRUSH, "iscrowd": 2}, "its iscrowd '2' is neither 0 nor 1"),
        ({**BRUSH, "iscrowd": "yes"}, "its iscrowd 'yes' is neither 0 nor 1"),
        ({**BRUSH, "iscrowd": float("nan")}, "neither 0 nor 1"),
        ({**BRUSH, "label": None}, "its category None is not listed"),
    ],
)
def test_a_crowd_that_cannot_be_read_leaves_the_image_out(item: dict[str, Any], says: str) -> None:
    annotation, faults = note(item)
    with pytest.raises(AnnotationError, match=f"annotation 1: .*{says}"):
        read_truth(annotation, WIDTH, HEIGHT, faults)


@pytest.mark.parametrize("zero", [0, 0.0, False, "0", "false", "", None])
def test_every_way_to_say_no_crowd(zero: Any) -> None:
    annotation, faults = note({**OUTLINE, "iscrowd": zero})
    assert corners(read_truth(annotation, WIDTH, HEIGHT, faults)) == ([PLACE], [])
    assert faults.found == []


def test_the_objects_one_by_one_tell_regions_apart() -> None:
    single = {"bbox": [20, 2, 5, 5], "segmentation": [[20, 2, 25, 2, 25, 7, 20, 7]]}
    annotation, _ = note(BRUSH, single, {**BRUSH, "tagged": True})
    found = read_instances(annotation, WIDTH, HEIGHT)
    assert [(one.ignored, one.stray) for one in found] == [(True, True), (False, False), (False, False)]
    assert [one.mask().sum() for one in found] == [42, 25, 42]


@pytest.mark.parametrize("crowds", ["auto", "ignored", "objects"])
def test_a_difficult_object_of_voc_is_ignored_where_asked_for(crowds: Crowds, tmp_path: Path) -> None:
    text = voc_xml(("dent", 3, 4, 9, 8), ("crack", 10, 4, 15, 9))
    start = text.index("crack")
    first, second = text[:start], text[start:]
    marked = first.replace("<bndbox>", "<difficult>1</difficult><bndbox>") + second.replace(
        "<bndbox>", "<difficult>0</difficult><bndbox>"
    )
    path = tmp_path / "x.xml"
    path.write_text(marked)
    faults = Faults()
    annotation = Annotation("voc", (str(path),), crowds=crowds)
    truth = read_truth(annotation, 20, 16, faults)
    kept = [box.label for box in truth.boxes], [box.label for box in truth.ignored]
    assert kept == ((["crack"], ["dent"]) if crowds == "ignored" else (["dent", "crack"], []))
    assert not faults.found
    assert [one.ignored for one in read_instances(annotation, 20, 16)] == (
        [False, True] if crowds == "ignored" else [False, False]
    )
    path.write_text(marked.replace("<difficult>1<", "<difficult>perhaps<"))
    with pytest.raises(AnnotationError, match="its difficult 'perhaps' is neither 0 nor 1"):
        read_truth(annotation, 20, 16, Faults())


def test_cocos_ignore_is_vocs_difficult() -> None:
    """Converters of VOC write `difficult` so; pycocotools takes no notice of it, mmdet leaves such out."""
    item = {"iscrowd": 0, "ignore": 1, "bbox": [3, 4, 6, 7]}
    for crowds, ignored in (("auto", False), ("objects", False), ("ignored", True)):
        annotation, faults = note(item, crowds=crowds)  # type: ignore[arg-type]
        truth = read_truth(annotation, WIDTH, HEIGHT, faults)
        assert corners(truth) == (([], [PLACE]) if ignored else ([PLACE], []))
    annotation, faults = note({**item, "ignore": 7})
    with pytest.raises(AnnotationError, match="its ignore '7' is neither 0 nor 1"):
        read_truth(annotation, WIDTH, HEIGHT, faults)
