"""Annotation formats against pycocotools, plain loops and hostile files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as reference

from pipelines.annotations.base import MAX_BOXES, Annotation, AnnotationError, Truth, checked_box
from pipelines.annotations.polygons import checked_polygon, mask_of_polygons
from pipelines.annotations.reading import read_truth
from pipelines.annotations.rle import counts_of_text, decode_mask, encode_mask, mask_of_counts, mask_of_runs
from tests.pipelines.layouts.published_trees import HEIGHT, RECT, WIDTH, draw, voc_xml

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))
NAN, HUGE = "NaN", "1e999"


def runs_down_columns(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Starts (from 0) and lengths of the defective runs, column after column, by a plain loop."""
    height, width = mask.shape
    found: list[tuple[int, int]] = []
    for place in range(width * height):
        if mask[place % height, place // height]:
            if found and sum(found[-1]) == place:
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((place, 1))
    return found


@given(MASKS)
def test_run_length_text_is_cocos(mask: npt.NDArray[np.bool_]) -> None:
    height, width = mask.shape
    theirs = reference.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
    assert encode_mask(mask) == theirs
    np.testing.assert_array_equal(decode_mask(theirs, width, height), mask)


@given(MASKS)
def test_counts_and_pairs_agree_with_a_plain_loop(mask: npt.NDArray[np.bool_]) -> None:
    height, width = mask.shape
    counts, place = [], 0
    pairs = runs_down_columns(mask)
    for start, length in pairs:
        counts += [start - place, length]
        place = start + length
    counts.append(width * height - place)
    np.testing.assert_array_equal(mask_of_counts(counts, width, height), mask)
    text = " ".join(f"{start + 1} {length}" for start, length in pairs)
    np.testing.assert_array_equal(mask_of_runs(text, width, height), mask)


@given(st.text(alphabet=[chr(code) for code in range(40, 120)], max_size=60) | st.text(max_size=20))
def test_hostile_run_length_text_never_escapes(text: str) -> None:
    try:
        mask = decode_mask(text, 7, 5)
    except AnnotationError:
        return
    assert mask.shape == (5, 7)
    np.testing.assert_array_equal(reference.decode({"size": [5, 7], "counts": text.encode()}), mask)


@pytest.mark.parametrize("counts", [[-1, 36], [2**62, 2**62, 35], [34], [36], [], [17.5, 17.5]])
def test_counts_must_fill_the_mask(counts: list[Any]) -> None:
    with pytest.raises(AnnotationError, match="run lengths"):
        mask_of_counts(counts, 7, 5)


@pytest.mark.parametrize(
    "text",
    ["1", "1 2 3", "0 1", "35 2", "36 1", "1 0", "-1 2", "1 x", "1.5 2", "1 99999999999999", "¹ 2", "٣ 2"],
)
def test_pairs_must_lie_in_the_image(text: str) -> None:
    with pytest.raises(AnnotationError, match="run lengths"):
        mask_of_runs(text, 7, 5)


def test_cut_text_and_giant_numbers_are_refused() -> None:
    for text, says in [
        ("o", "cut short"),
        ("oooooooooo0", "too large"),
        ("ü", "character"),
        ("O", "negative"),
    ]:
        with pytest.raises(AnnotationError, match=says):
            counts_of_text(text)


POINT = st.tuples(st.floats(0, 30), st.floats(0, 20))


@settings(deadline=None)
@given(st.lists(st.lists(POINT, min_size=3, max_size=8), min_size=1, max_size=3))
def test_polygons_are_drawn_as_coco_draws_them(polygons: list[list[tuple[float, float]]]) -> None:
    flat = [[value for point in points for value in point] for points in polygons]
    theirs = reference.decode(reference.merge(reference.frPyObjects(flat, 20, 30)))
    ours = mask_of_polygons([checked_polygon(points, 30, 20) for points in flat], 30, 20)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("flat", "says"),
    [
        ([0, 0, 5, 5], "three pairs"),
        ([0, 0, 5, 5, 3], "three pairs"),
        ([0, 0, 5, 5, 3, float("nan")], "no finite number"),
        ([0, 0, 5, 5, 3, None], "no finite number"),
        ([0, 0, 5, 5, 3, True], "no finite number"),
        ([0, 0, 5, 5, 3, 10**400], "no finite number"),
        ([0, 0, 5, 5, -3, 4], "outside the image"),
        ([0, 0, 5, 5, 32, 4], "outside the image"),
    ],
)
def test_hostile_polygons(flat: list[Any], says: str) -> None:
    with pytest.raises(AnnotationError, match=says):
        checked_polygon(flat, 30, 20)


def test_absurd_outlines_are_refused() -> None:
    zigzag = np.array([[x % 2 * 9_000.0, 0.0] for x in range(1000)])
    with pytest.raises(AnnotationError, match="outlines of more than"):
        mask_of_polygons([zigzag], 10_000, 10)


@given(*[st.floats(allow_nan=True, allow_infinity=True, width=32)] * 4)
def test_a_checked_box_lies_in_the_image(x0: float, y0: float, x1: float, y1: float) -> None:
    try:
        box = checked_box((x0, y0, x1, y1), "dent", 30, 20)
    except AnnotationError:
        return
    assert 0 <= box.x0 < box.x1 <= 30
    assert 0 <= box.y0 < box.y1 <= 20
    assert max(abs(box.x0 - x0), abs(box.y0 - y0), abs(box.x1 - x1), abs(box.y1 - y1)) <= 1


def test_a_box_may_stick_out_by_a_pixel() -> None:
    box = checked_box((-1, -0.5, 31, 20.25), " dent ", 30, 20)
    assert (box.x0, box.y0, box.x1, box.y1, box.label) == (0, 0, 30, 20, "dent")
    for corners in [(-1.01, 0, 5, 5), (0, 0, 5, 21.1), (30.5, 0, 31, 5), (-0.5, 0, 0, 5)]:
        with pytest.raises(AnnotationError, match="outside the image of 30×20"):
            checked_box(corners, "dent", 30, 20)


def read_file(path: Path, form: str, data: bytes | str, content: str = "") -> Truth:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_truth(Annotation(form, (str(path),), content=content), WIDTH, HEIGHT)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "lol">'
    + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    + "]><annotation><object><name>&l9;</name></object></annotation>"
)
OUTSIDE_FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>'


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (BOMB, "DTD or entities"),
        (OUTSIDE_FILE, "DTD or entities"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><annotation/>', "DTD or entities"),
        ("", "no XML"),
        (b"\x00\xff" * 50, "no XML"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "no XML"),
        ("<annotation><object>", "no XML"),
        (voc_xml(("dent", 0, 3, 9, 8)).replace("<xmin>0<", f"<xmin>{NAN}<"), "'NaN' is no finite number"),
        (voc_xml(("dent", 0, 3, 9, 8)).replace("<xmin>0<", f"<xmin>{HUGE}<"), "no finite number"),
        (voc_xml(("dent", 0, 3, 9, 8)).replace("<xmin>0</xmin>", ""), "None.* is no finite number"),
        (voc_xml(("dent", -5, 3, 9, 8)), "lies outside the image of 20×16"),
        (voc_xml(("dent", 3, 3, 90, 8)), "lies outside the image of 20×16"),
        (voc_xml(("dent", 9, 3, 3, 8)), "is empty"),
        (voc_xml(("", 3, 3, 9, 8)), "no class name"),
        (voc_xml(("x" * 101, 3, 3, 9, 8)), "no class name"),
        (voc_xml(("a&#10;b", 3, 3, 9, 8)), "no class name"),
        ("<annotation><object><name>dent</name></object></annotation>", "no bndbox"),
        (
            voc_xml(("dent", 3, 3, 9, 8), size=(200, 160)),
            "for an image of 200×160 pixels, the image has 20×16",
        ),
        ("<annotation>" + "<object/>" * (MAX_BOXES + 1) + "</annotation>", "10,001 objects"),
        (b"<annotation>" + b" " * (4 << 20) + b"</annotation>", "larger than 4 MiB"),
    ],
)
def test_hostile_voc_files(tmp_path: Path, data: bytes | str, says: str) -> None:
    path = tmp_path / "x.xml"
    with pytest.raises(AnnotationError, match=says) as caught:
        read_file(path, "voc", data)
    assert str(caught.value).startswith(f"its annotation {path}: ")


def test_a_deeply_nested_xml_is_survived(tmp_path: Path) -> None:
    depth = 300_000
    nested = "<a>" * depth + "</a>" * depth
    with pytest.raises(AnnotationError, match="its first tag is 'a', not 'annotation'"):
        read_file(tmp_path / "x.xml", "voc", nested)
    assert read_file(tmp_path / "x.xml", "voc", f"<annotation>{nested}</annotation>").boxes == ()


@pytest.mark.parametrize(
    "text",
    [
        voc_xml(("dent", 3, 4, 9, 8)).replace("object>", "objekt>"),
        voc_xml(("dent", 3, 4, 9, 8))
        .replace("<object>", "<objects><object>")
        .replace("</object>", "</object></objects>"),
        f"<VOC>{voc_xml(('dent', 3, 4, 9, 8))}</VOC>",
        voc_xml(("dent", 3, 4, 9, 8)).replace("<annotation>", '<annotation xmlns="urn:x">'),
    ],
)
def test_an_object_under_another_name_is_no_free_image(tmp_path: Path, text: str) -> None:
    with pytest.raises(AnnotationError, match=r"its first tag is|holds a box and is no 'object'"):
        read_file(tmp_path / "x.xml", "voc", text)


def test_a_size_of_nought_says_nothing(tmp_path: Path) -> None:
    truth = read_file(tmp_path / "x.xml", "voc", voc_xml(("dent", 3, 4, 9, 8), size=(0, 0)))
    assert [vars(box) for box in truth.boxes] == [{"x0": 2, "y0": 3, "x1": 9, "y1": 8, "label": "dent"}]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_damaged_voc_files_never_escape(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    whole = voc_xml(("dent", 3, 4, 9, 8)).encode()
    try:
        truth = read_file(
            tmp_path_factory.getbasetemp() / "x.xml", "voc", whole[:at] + junk + whole[at + 5 :]
        )
    except AnnotationError:
        return
    assert all(0 <= box.x0 < box.x1 <= WIDTH and 0 <= box.y0 < box.y1 <= HEIGHT for box in truth.boxes)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("0 0.5 0.5 nan 0.1", "line 1: 'nan' is no finite number"),
        ("0 0.5 0.5 1e999 0.1", "no finite number"),
        ("0 0.5 0.5 0.1 0.1\n\n7 0.5 0.5 0.1 0.1", "line 3: class 7 has no name; there are 2"),
        ("-1 0.5 0.5 0.1 0.1", "'-1' is no class number"),
        ("99999999 0.5 0.5 0.1 0.1", "no class number"),
        ("dent 0.5 0.5 0.1 0.1", "no class number"),
        ("0 0.5 0.5 0 0.1", "is empty"),
        ("0 0.5 0.5 -0.2 0.1", "is empty"),
        ("0 0.9 0.5 0.5 0.1", "outside the image"),
        ("0 10 12 4 5", "outside the image"),
        ("0 0.5 0.5 0.1", "three pairs"),
        ("0", "three pairs"),
        ("0 0.1 0.1 0.2 0.1 0.2", "three pairs"),
        ("0 0.1 0.1 0.2 0.1 2 0.2", "outside the image"),
        ("0 0.1 0.1 0.2 0.1 0.3 0.1", "is empty"),
        (b"\xff\xfe0 \x00", "no UTF-8 text"),
        ("0 0.5 0.5 0.1 0.1\n" * (MAX_BOXES + 1), "10,001 objects"),
    ],
)
def test_hostile_yolo_files(tmp_path: Path, data: bytes | str, says: str) -> None:
    path = tmp_path / "x.txt"
    with pytest.raises(AnnotationError, match=says) as caught:
        read_file(path, "yolo", data, json.dumps(["scratch", "dent"]))
    assert str(caught.value).startswith(f"its annotation {path}: ")


def test_a_missing_annotation_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"its annotation .*gone\.xml: file is missing"):
        read_truth(Annotation("voc", (str(tmp_path / "gone.xml"),)), WIDTH, HEIGHT)


def read_coco(*objects: dict[str, Any], size: list[Any] | None = None) -> Truth:
    whole = [{"id": 1, "bbox": [2, 3, 7, 5], "label": "dent", **item} for item in objects]
    return read_truth(Annotation("coco", content=json.dumps({"size": size, "objects": whole})), WIDTH, HEIGHT)


RUNS = {"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT]}


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"bbox": [2, 3, float("nan"), 5]}, "no finite number"),
        ({"bbox": [2, 3, -7, 5]}, "is empty"),
        ({"bbox": [-9, 3, 12, 5]}, "outside the image"),
        ({"bbox": [2, 3, 1e300, 5]}, "outside the image"),
        ({"bbox": [2, 3, 7]}, "no list of x, y, width, height"),
        ({"bbox": None}, "no list of x, y, width, height"),
        ({"segmentation": [3]}, "no list of polygons"),
        ({"segmentation": [[2, 3, 9, 3]]}, "three pairs"),
        ({"segmentation": "x"}, "no JSON object"),
        ({"segmentation": {**RUNS, "size": [WIDTH, HEIGHT]}}, "not for 16 rows and 20 columns"),
        ({"segmentation": {**RUNS, "counts": [1]}}, "cover 1 pixels, the image has 320"),
        ({"segmentation": {**RUNS, "counts": [10**30]}}, "no whole numbers"),
        ({"segmentation": {**RUNS, "counts": [-1, 321]}}, "no whole numbers"),
        ({"segmentation": {**RUNS, "counts": "\\x00"}}, "character that COCO does not use|cut short|cover"),
        ({"segmentation": {**RUNS, "counts": None}}, "no whole numbers"),
    ],
)
def test_hostile_coco_objects(item: dict[str, Any], says: str) -> None:
    with pytest.raises(AnnotationError, match=says):
        read_coco(item)


def test_coco_sizes_and_numbers_are_bounded() -> None:
    with pytest.raises(AnnotationError, match="for an image of 40×16 pixels"):
        read_coco({}, size=[40, 16])
    with pytest.raises(AnnotationError, match="no finite number"):
        read_coco({}, size=[None, 16])
    with pytest.raises(AnnotationError, match="10,001 objects"):
        read_coco(*[{}] * (MAX_BOXES + 1))


def test_coco_crowds_are_in_the_mask_and_no_box() -> None:
    crowd = {"iscrowd": 1, "bbox": [12, 1, 4, 5], "segmentation": [[12, 1, 16, 1, 16, 6, 12, 6]]}
    truth = read_coco({"segmentation": [[2, 3, 9, 3, 9, 8, 2, 8]]}, crowd)
    assert [(box.x0, box.y0, box.x1, box.y1) for box in truth.boxes] == [RECT]
    assert truth.mask is not None
    assert truth.mask.sum() == 7 * 5 + 4 * 5
    assert read_coco({}, crowd).mask is None  # one object has no mask, so the whole is not known


def test_masks_of_numbers_count_a_palettes_indices(tmp_path: Path) -> None:
    image = Image.new("P", (WIDTH, HEIGHT))
    image.putpalette([255, 255, 255, 0, 0, 0])  # background white, the first defect black
    image.paste(1, RECT)
    image.save(tmp_path / "m.png")
    truth = read_truth(Annotation("index_mask", (str(tmp_path / "m.png"),), "dent"), WIDTH, HEIGHT)
    assert [vars(box) for box in truth.boxes] == [{"x0": 2, "y0": 3, "x1": 9, "y1": 8, "label": "dent"}]
    assert truth.mask is not None
    assert truth.mask.sum() == 35


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    draw(tmp_path / "m.png", RECT)
    with pytest.raises(AnnotationError, match=r"m\.png has 20×16 pixels, the image 21×16"):
        read_truth(Annotation("mask", (str(tmp_path / "m.png"),), "dent"), WIDTH + 1, HEIGHT)
    with pytest.raises(AnnotationError, match=r"its mask .*none\.png: file is missing"):
        read_truth(Annotation("mask", (str(tmp_path / "none.png"),), "dent"), WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("corners", "shares"),
    [
        ((0.4, 0.4, 0.6, 0.6), True),
        ((-0.6, -0.6, 0.6, 0.6), True),  # VOC's, counted from 1
        ((0.004, 0.008, 0.996, 0.99), True),
        ((0.0, 0.0, 1.0, 1.0), False),  # a pixel in the corner
        ((-1e-4, 0.0, 0.9999, 1.0), False),  # the same in YOLO's rounded shares
        ((0.4, 0.4, 1.6, 1.6), False),
        ((4.4, 4.4, 4.6, 4.6), False),
    ],
)
def test_a_box_in_shares_of_the_image_is_no_speck_in_its_corner(
    corners: tuple[float, float, float, float], shares: bool
) -> None:
    if not shares:
        assert checked_box(corners, "dent", 30, 20).label == "dent"
        return
    repairs: list[str] = []
    for mended in (None, repairs):
        with pytest.raises(AnnotationError, match="shares of 0 to 1 are no pixels"):
            checked_box(corners, "dent", 30, 20, mended)
