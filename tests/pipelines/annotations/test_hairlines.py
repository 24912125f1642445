"""Hairlines: boxes without height or width, polygons without area or narrower than a pixel."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings, strategies as st

from pipelines.annotations.base import Annotation, AnnotationError, Truth, checked_box
from pipelines.annotations.faults import Faults
from pipelines.annotations.polygons import checked_polygon, drawn_polygons, mask_of_polygons
from pipelines.annotations.reading import read_truth
from tests.pipelines.annotations.test_crowds import runs

WIDTH, HEIGHT = 150, 90


def read(annotation: Annotation, *, clip: bool = True) -> tuple[Truth, list[str]]:
    faults = Faults(clip)
    truth = read_truth(annotation, WIDTH, HEIGHT, faults)
    assert all(fault.mended for fault in faults.found)
    return truth, [fault.reason for fault in faults.found]


def coco(*items: dict[str, Any]) -> Annotation:
    objects = [{"id": number, "label": "crack", **item} for number, item in enumerate(items, start=1)]
    return Annotation("coco", ("a.json",), content=json.dumps({"size": None, "objects": objects}))


def rows(y0: int, y1: int, x0: int = 20, x1: int = 119) -> npt.NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def sides(truth: Truth) -> list[tuple[float, float, float, float]]:
    return [(box.x0, box.y0, box.x1, box.y1) for box in truth.boxes]


LINE = [20, 70, 119, 70, 60, 70]


@pytest.mark.parametrize(
    ("segmentation", "y0", "y1"),
    [
        ([], 70, 71),
        ([LINE], 70, 71),
        ([[20, 70, 119, 70, 119, 70.2, 20, 70.2]], 69, 71),  # narrower than a pixel, between two centres
        (runs(rows(70, 71)), 70, 71),
        (runs(rows(69, 72)), 69, 72),
    ],
)
def test_a_box_without_height_is_as_high_as_its_mask_or_one_pixel(
    segmentation: Any, y0: int, y1: int
) -> None:
    other = {"bbox": [5, 5, 10, 10], "segmentation": [[5, 5, 15, 5, 15, 15, 5, 15]]}
    hairline = {"bbox": [20, 70, 99, 0], "area": 99, "segmentation": segmentation}
    truth, told = read(coco(hairline, other))
    (x0, low, x1, high), whole = sides(truth)
    assert [x0, x1] == [20, 119]
    assert y0 <= low < high <= y1
    assert list(whole) == [5, 5, 15, 15]
    assert any("annotation 1: " in reason and "box (20, 70, 119, 70)" in reason for reason in told)
    if segmentation:
        assert truth.mask is not None
        hair = truth.mask.copy()
        hair[5:15, 5:15] = False
        ys, xs = np.nonzero(hair)
        assert y0 <= ys.min() <= ys.max() < y1
        assert (xs.min(), xs.max()) == (20, 118)
    with pytest.raises(AnnotationError, match="is empty"):
        read(coco(hairline, other), clip=False)


@settings(deadline=None)
@given(st.floats(0, WIDTH), st.floats(0, HEIGHT), st.floats(0.5, 60), st.booleans())
def test_a_line_becomes_the_pixels_that_it_lies_in(x: float, y: float, length: float, upright: bool) -> None:
    corners = (x, y, x, y + length) if upright else (x, y, x + length, y)
    assume(corners[2] <= WIDTH and corners[3] <= HEIGHT and (corners[2] > x or corners[3] > y))
    mended: list[str] = []
    box = checked_box(corners, "crack", WIDTH, HEIGHT, mended)
    place, low, high, size = (x, box.x0, box.x1, WIDTH) if upright else (y, box.y0, box.y1, HEIGHT)
    assert high - low == 1
    assert low == int(low)
    assert 0 <= low <= size - 1
    assert low <= place < high or place == size == high
    assert len(mended) == 1
    with pytest.raises(AnnotationError, match="is empty"):
        checked_box(corners, "crack", WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "corners", [(5, 5, 5, 5), (9, 5, 5, 5), (-9, 5, -9, 20), (5, 95, 20, 95), (5, float("nan"), 9, 5)]
)
def test_points_and_lines_outside_stay_faults(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(AnnotationError, match=r"is empty|no number"):
        checked_box(corners, "crack", WIDTH, HEIGHT, [])


POINT = st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT))


@settings(deadline=None, max_examples=200)
@given(POINT, POINT, st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_a_line_is_drawn_along_its_length(
    start: tuple[float, float], end: tuple[float, float], between: list[float]
) -> None:
    first, last = np.array(start), np.array(end)
    assume(np.abs(last - first).max() >= 2)
    points = np.array([first, last, *(first + share * (last - first) for share in between)])
    polygon = checked_polygon(points.ravel().tolist(), WIDTH, HEIGHT)
    assume(not mask_of_polygons([polygon], WIDTH, HEIGHT).any())
    mask = mask_of_polygons(drawn_polygons([polygon], WIDTH, HEIGHT, []), WIDTH, HEIGHT)
    ys, xs = np.nonzero(mask)
    # About a pixel for each step along its longer side, none further away than one and a half.
    longer = np.abs(last - first).max()
    assert longer - 2 <= len(xs) <= 2 * longer + 2
    centres = np.stack([xs, ys], axis=1) + 0.5
    direction = (last - first) / np.linalg.norm(last - first)
    away = np.abs((centres - first) @ np.array([-direction[1], direction[0]]))
    assert away.max() <= 1.5


def test_what_covers_a_pixel_is_drawn_as_coco_draws_it() -> None:
    whole = checked_polygon([5, 5, 15, 5, 15, 15, 5, 15], WIDTH, HEIGHT)
    line = checked_polygon(LINE, WIDTH, HEIGHT)
    drawn = drawn_polygons([whole, line], WIDTH, HEIGHT)  # a speck beside the object costs nothing
    np.testing.assert_array_equal(
        mask_of_polygons(drawn, WIDTH, HEIGHT), mask_of_polygons([whole], WIDTH, HEIGHT)
    )
    with pytest.raises(AnnotationError, match="all its points are one"):
        drawn_polygons([checked_polygon([5, 5] * 3, WIDTH, HEIGHT)], WIDTH, HEIGHT, [])
    with pytest.raises(AnnotationError, match="line without area"):
        drawn_polygons([line], WIDTH, HEIGHT)


def test_voc_and_yolo_hairlines(tmp_path: Path) -> None:
    voc = tmp_path / "x.xml"
    objects = [(21, 71, 119, 70), (6, 6, 15, 15)]
    voc.write_text(
        "<annotation>"
        + "".join(
            f"<object><name>crack</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
            f"<ymax>{y1}</ymax></bndbox></object>"
            for x0, y0, x1, y1 in objects
        )
        + "</annotation>"
    )
    truth, told = read(Annotation("voc", (str(voc),)))
    assert sides(truth) == [(20, 70, 119, 71), (5, 5, 15, 15)]
    assert told == ["box (20, 70, 119, 70) is a line: taken as one pixel wide"]
    yolo = tmp_path / "x.txt"
    yolo.write_text(
        f"0 0.5 0.5 0.2 0\n0 {' '.join(str(v / (WIDTH, HEIGHT)[n % 2]) for n, v in enumerate(LINE))}\n"
    )
    truth, told = read(Annotation("yolo", (str(yolo),)))
    boxed, outlined = sides(truth)
    assert boxed == pytest.approx((60, 45, 90, 46))
    assert outlined == pytest.approx((20, 70, 119, 71))
    assert len(told) == 3  # the second line's outline and box
    yolo.write_text(yolo.read_text().splitlines()[1])
    truth, _ = read(Annotation("yolo", (str(yolo),)))
    np.testing.assert_array_equal(truth.mask, rows(70, 71))
