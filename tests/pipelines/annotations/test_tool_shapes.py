"""Shapes of labelling tools against plain formulas, and masks against the tools' own writing."""

import base64
import io
import json
import math
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pipelines.annotations.base import Annotation, AnnotationError
from pipelines.annotations.class_names import written_label
from pipelines.annotations.faults import Faults, Spot
from pipelines.annotations.label_studio_rle import mask_of_brush
from pipelines.annotations.png_masks import png_mask
from pipelines.annotations.reading import read_truth
from pipelines.annotations.shapes import Canvas
from tests.pipelines.layouts import tool_files as files

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20))
SIDES = st.floats(1, 20)
CANVAS = Canvas(100, 80, Spot())


def corners_of(shape: Any) -> tuple[float, float, float, float]:
    return shape.box.x0, shape.box.y0, shape.box.x1, shape.box.y1


@given(SIDES, SIDES, st.floats(-720, 720))
def test_a_turned_box_is_the_box_around_its_corners(width: float, height: float, angle: float) -> None:
    """By complex numbers, which turn clockwise where y points down."""
    turn = complex(math.cos(math.radians(angle)), math.sin(math.radians(angle)))
    corners = [complex(x, y) * turn for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)]
    across, down = [50 + c.real for c in corners], [40 + c.imag for c in corners]
    shape = CANVAS.turned_box(50, 40, width, height, angle, "dent")
    assert corners_of(shape) == pytest.approx((min(across), min(down), max(across), max(down)))
    assert shape.pixels is None


@given(SIDES, SIDES, st.floats(-360, 360))
def test_an_ellipse_against_many_points_on_it(rx: float, ry: float, angle: float) -> None:
    shape = CANVAS.ellipse(50.3, 40.7, rx, ry, angle, "dent")
    around = np.exp(2j * np.pi * np.arange(20_000) / 20_000)
    edge = (rx * around.real + 1j * ry * around.imag) * np.exp(1j * math.radians(angle)) + (50.3 + 40.7j)
    expected = (edge.real.min(), edge.imag.min(), edge.real.max(), edge.imag.max())
    assert corners_of(shape) == pytest.approx(expected, abs=1e-4)
    mask = shape.whole(100, 80)
    assert mask is not None
    for y, x in ((40, 50), (40, 60), (50, 50), (30, 41), (45, 63)):
        away = (x + 0.5 + 1j * (y + 0.5) - (50.3 + 40.7j)) * np.exp(-1j * math.radians(angle))
        inside = (away.real / rx) ** 2 + (away.imag / ry) ** 2
        if abs(inside - 1) > 1e-9:
            assert mask[y, x] == (inside < 1)


def test_a_label_studio_rectangle_turns_in_pixels_about_its_corner() -> None:
    """In percent it would be another one: the image is twice as wide as high. 30° as label-studio-sdk 2.1.2's
    `convert_annotation_to_yolo_obb` has it."""
    value = {"x": 40.0, "y": 30.0, "width": 20.0, "height": 20.0, "rotation": 30}
    region = files.studio_region("rectangle", value, original_width=200, original_height=100)
    note = Annotation("label_studio", ("x",), content=json.dumps({"task": "1", "regions": [[region]]}))
    (box,) = read_truth(note, 200, 100).boxes
    cos, sin = math.sqrt(3) / 2, 0.5  # 40×20 pixels at (80, 30)
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx(
        (80 - 20 * sin, 30, 80 + 40 * cos, 30 + 40 * sin + 20 * cos)
    )


def brush_of(mask: npt.NDArray[np.bool_], single: bool) -> list[int]:
    """Label Studio's run lengths by their description: one run a value, or all values one by one."""
    values = np.repeat(mask.ravel().astype(np.uint8) * 255, 4).tolist()
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    place = 0
    while place < len(values):
        end = place
        while end < len(values) and (single or values[end] == values[place]) and end - place < 65_536:
            end += 1
        bits += f"{not single:b}11{end - place - 1:016b}"
        bits += "".join(
            f"{value:08b}" for value in (values[place:end] if single else values[place : place + 1])
        )
        place = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]


@given(MASKS, st.booleans())
def test_a_brush_comes_back(mask: npt.NDArray[np.bool_], single: bool) -> None:
    height, width = mask.shape
    np.testing.assert_array_equal(mask_of_brush(brush_of(mask, single), width, height), mask)


@given(st.lists(st.integers(0, 255), max_size=60))
def test_hostile_brushes_never_escape(data: list[int]) -> None:
    head = [0, 0, 0, 80, 57, 27, 254]  # 80 values, as a 5×4 image has
    for some in (data, head + data):
        with suppress(AnnotationError):
            assert mask_of_brush(some, 5, 4).shape == (4, 5)


@pytest.mark.parametrize("data", [None, "abc", [1.5], [True], [256], [-1], {}])
def test_a_brush_is_a_list_of_bytes(data: Any) -> None:
    with pytest.raises(AnnotationError, match="no list of bytes"):
        mask_of_brush(data, 5, 4)


def png(pixels: npt.NDArray[Any], mode: str | None = None) -> bytes:
    image = Image.fromarray(pixels)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, "PNG")
    return file.getvalue()


@given(MASKS)
def test_masks_within_texts(mask: npt.NDArray[np.bool_]) -> None:
    grey = mask.astype(np.uint8)
    seen = np.zeros((*mask.shape, 4), np.uint8)
    seen[mask, 3] = 255
    for data in (png(grey), png(grey * 200), png(mask), png(seen), png(grey * 255, "P")):
        for text in (data, zlib.compress(data)):
            np.testing.assert_array_equal(png_mask(base64.b64encode(text).decode(), 20, 20), mask)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "is no text"),
        ("a b", "no base64"),
        ("YWJj", "neither a PNG nor one packed by zlib"),
        (base64.b64encode(zlib.compress(b"abc")).decode(), "damaged PNG"),
        (base64.b64encode(png(np.ones((4, 5), np.uint8))[:-20]).decode(), "damaged PNG"),
        (base64.b64encode(png(np.ones((21, 5), np.uint8))).decode(), "5×21 pixels, the image 20×20"),
        (base64.b64encode(png(np.ones((4, 5, 3), np.uint8))).decode(), "mode RGB"),
        (base64.b64encode(zlib.compress(b"\0" * (9 << 20))).decode(), "more than 8 MiB"),
    ],
)
def test_hostile_masks_within_texts(text: Any, says: str) -> None:
    with pytest.raises(AnnotationError, match=says):
        png_mask(text, 20, 20)


def test_a_hole_in_supervisely_is_drawn_as_its_sdk_draws(tmp_path: Path) -> None:
    """Rows 3 to 7 and columns 2 to 8 as supervisely 6.74.51 drew them."""
    points = {"exterior": [[2, 3], [8, 3], [8, 7]], "interior": [[[6, 4], [7, 4], [7, 5]]]}
    (tmp_path / "a.json").write_text(
        files.supervisely_text(files.supervisely_object("polygon", points=points))
    )
    truth = read_truth(Annotation("supervisely", (str(tmp_path / "a.json"),)), 20, 16)
    assert truth.mask is not None
    drawn = ["1111111", "0111001", "0001101", "0000111", "0000001"]
    assert ["".join("01"[pixel] for pixel in row) for row in truth.mask[3:8, 2:9].astype(int)] == drawn
    assert truth.mask.sum() == sum(row.count("1") for row in drawn)


NORMAL = '{"normal": ["good", "ok"]}'


def labelme_truth(tmp_path: Path, *shapes: dict[str, Any], **more: Any) -> Any:
    (tmp_path / "a.json").write_text(files.labelme_text("a.jpg", *shapes, **more))
    return read_truth(Annotation("labelme", (str(tmp_path / "a.json"),), content=NORMAL), 20, 16)


@pytest.mark.parametrize(
    ("kind", "points", "corners"),
    [
        ("circle", [[10, 8], [13, 12]], (5, 3, 15, 13)),
        ("line", [[2, 3], [9, 8]], (2, 3, 9, 8)),
        ("line", [[2, 3], [9, 3]], (2, 2.5, 9, 3.5)),
        ("line", [[0, 3], [0, 8]], (0, 3, 1, 8)),
        ("linestrip", [[20, 16], [9, 16], [9, 15.5]], (9, 15, 20, 16)),
        ("rectangle", [[9, 3], [2, 8]], (2, 3, 9, 8)),
        ("rectangle", [[2, 3], [9, 3], [9, 8], [2, 8]], (2, 3, 9, 8)),
        ("rotation", [[5, 2], [9, 6], [7, 8], [3, 4]], (3, 2, 9, 8)),
        ("oriented_rectangle", [[5, 2], [9, 6], [7, 8], [3, 4]], (3, 2, 9, 8)),
    ],
)
def test_labelme_shapes(kind: str, points: list[Any], corners: tuple[float, ...], tmp_path: Path) -> None:
    truth = labelme_truth(tmp_path, files.labelme_shape(kind, points, "0"))
    (box,) = truth.boxes
    assert (box.x0, box.y0, box.x1, box.y1, box.label) == pytest.approx((*corners, "0"))
    assert (truth.mask is None) == (kind != "circle")


def grouped(tool: str, tmp_path: Path, group: Any, *pieces: tuple[int, int, str]) -> Annotation:
    """Rectangular polygons of the rows 2 to 6, each with its columns and class, in one group of a tool."""
    outlines = [[[x0, 2], [x1, 2], [x1, 6], [x0, 6]] for x0, x1, _ in pieces]
    if tool == "labelme":
        shapes = [
            files.labelme_shape("polygon", outline, label, group_id=group)
            for outline, (_, _, label) in zip(outlines, pieces, strict=True)
        ]
        (tmp_path / "a.json").write_text(files.labelme_text("a.jpg", *shapes))
        return Annotation("labelme", (str(tmp_path / "a.json"),), content=NORMAL)
    objects: list[dict[str, Any]] = []
    for outline, (_, _, label) in zip(outlines, pieces, strict=True):
        if tool == "cvat":
            points = ";".join(f"{x}.00,{y}.00" for x, y in outline)
            objects.append(
                {"kind": "polygon", "attributes": {"label": label, "points": points, "group_id": str(group)}}
            )
        else:
            flat = [value for point in outline for value in point]
            objects.append(files.datumaro_note("polygon", points=flat, group=group) | {"class": label})
    size = ["20", "16"] if tool == "cvat" else [16, 20]
    content = json.dumps({"name": "a.jpg", "size": size, "objects": objects})
    return Annotation(tool, ("x",), content=content)


TOOLS_WITH_GROUPS = pytest.mark.parametrize("tool", ["labelme", "cvat", "datumaro"])


@TOOLS_WITH_GROUPS
def test_shapes_of_one_group_and_class_are_one_object(tool: str, tmp_path: Path) -> None:
    """As labelme 6.3.1's `shapes_to_label` numbers instances, and as datumaro 1.13.12 writes boxes of a group
    into COCO, which however gives the dent up."""
    pieces = ((1, 4, "scratch"), (6, 8, "dent"), (12, 19, "scratch"))
    truth = read_truth(grouped(tool, tmp_path, 3, *pieces), 20, 16)
    assert [vars(box) for box in truth.boxes] == [
        {"x0": 1, "y0": 2, "x1": 19, "y1": 6, "label": "scratch"},
        {"x0": 6, "y0": 2, "x1": 8, "y1": 6, "label": "dent"},
    ]
    wanted = np.zeros((16, 20), np.bool_)
    for x0, x1, _ in pieces:
        wanted[2:6, x0:x1] = True
    np.testing.assert_array_equal(truth.mask, wanted)


@TOOLS_WITH_GROUPS
def test_shapes_in_no_group_are_objects_each(tool: str, tmp_path: Path) -> None:
    none = None if tool == "labelme" else 0
    pieces = ((1, 4, "scratch"), (12, 19, "scratch"))
    assert len(read_truth(grouped(tool, tmp_path, none, *pieces), 20, 16).boxes) == 2


def test_the_group_0_of_labelme_is_one(tmp_path: Path) -> None:
    note = grouped("labelme", tmp_path, 0, (1, 4, "scratch"), (12, 19, "scratch"))
    assert len(read_truth(note, 20, 16).boxes) == 1


def test_a_group_with_a_box_has_no_mask(tmp_path: Path) -> None:
    shapes = [
        files.labelme_shape("rectangle", [[2, 3], [9, 8]], group_id=1),
        files.labelme_shape("circle", [[14, 8], [14, 10]], group_id=1),
    ]
    truth = labelme_truth(tmp_path, *shapes)
    assert [(box.x0, box.y0, box.x1, box.y1) for box in truth.boxes] == [(2, 3, 16, 10)]
    assert truth.mask is None


@TOOLS_WITH_GROUPS
@pytest.mark.parametrize("group", ["left", 1.5, True])
def test_a_group_is_a_whole_number(tool: str, group: Any, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"is no (whole|finite) number"):
        read_truth(grouped(tool, tmp_path, group, (1, 4, "scratch")), 20, 16)


def test_a_flag_of_labelme_may_mean_a_defect(tmp_path: Path) -> None:
    assert labelme_truth(tmp_path, flags={"OK": True, "scratched": False}).empty
    with pytest.raises(AnnotationError, match="its flag 'scratched' may mean a defect"):
        labelme_truth(tmp_path, flags={"scratched": True})


def test_shapes_that_stick_out_are_cut_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        files.labelme_text("a.jpg", files.labelme_shape("polygon", [[-5, 3], [9, 3], [9, 8], [-5, 8]]))
    )
    note, faults = Annotation("labelme", (str(tmp_path / "a.json"),)), Faults(clip=True)
    (box,) = read_truth(note, 20, 16, faults).boxes
    assert (box.x0, box.x1) == (0, 9)
    assert [(fault.mended, fault.reason[:8]) for fault in faults.found] == [(True, "shape 1:")]
    with pytest.raises(AnnotationError, match="shape 1: a polygon lies outside"):
        read_truth(note, 20, 16)


@pytest.mark.parametrize(
    ("value", "name"), [("no", "no"), (" 007 ", "007"), (7, "7"), (0, "0"), ("None", "None")]
)
def test_names_as_written(value: object, name: str) -> None:
    assert written_label(value) == name


@pytest.mark.parametrize("value", [None, True, False, 1.0, float("nan"), [], {}, "", "  ", "a\nb"])
def test_what_is_no_name(value: object) -> None:
    with pytest.raises(AnnotationError):
        written_label(value)
