"""Tools' files that are damaged or about other images: a fault by file and place, never a normal image."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from tests.pipelines.layouts import tool_files as files
from tests.pipelines.layouts.published_trees import paint, write
from tests.pipelines.layouts.test_layouts import rows_of

BOX = files.labelme_shape("rectangle", [[2, 3], [9, 8]])
SLY_BOX = files.supervisely_object("rectangle", points={"exterior": [[2, 3], [8, 7]], "interior": []})
DM_BOX = files.datumaro_note("bbox", bbox=[2, 3, 7, 5])
LS_BOX = files.studio_region("rectangle", files.STUDIO_BOX)


def studio(*annotations: dict[str, Any], image: str = "/data/upload/1/a.jpg") -> str:
    return json.dumps([files.studio_task(7, image, *annotations)])


def via(*regions: tuple[dict[str, Any], dict[str, Any]], image: str = "a.jpg") -> str:
    return json.dumps(files.via_image(image, *regions))


# What each tool writes beside or about `a.jpg`: layout, file, text.
GOOD = {
    "labelme": ("a.json", files.labelme_text("a.jpg", BOX)),
    "cvat": ("annotations.xml", files.cvat_xml(files.cvat_image("a.jpg", files.cvat_box()))),
    "cvat_yolo": ("obj_train_data/a.txt", "0 0.275 0.34375 0.35 0.3125\n"),
    "label_studio": ("export.json", studio(files.studio_annotation(LS_BOX))),
    "via": ("via.json", via((files.VIA_RECT, {"class": "dent"}))),
    "supervisely": ("ann/a.jpg.json", files.supervisely_text(SLY_BOX)),
    "datumaro": ("annotations/default.json", files.datumaro_text(files.datumaro_item("a", DM_BOX))),
}
HOMES = {"supervisely": "img/", "cvat_yolo": "obj_train_data/"}


def lay(root: Path, layout: str, text: str, image: str = "a.jpg") -> tuple[str, str]:
    """An image and its label file; their paths."""
    home = HOMES.get(layout, "")
    paint(root / home / image)
    paint(root / home / "other.jpg")
    if layout == "cvat_yolo":
        write(root / "obj.names", "dent\n")
    write(root / GOOD[layout][0], text)
    return home + image, GOOD[layout][0]


@pytest.mark.parametrize("layout", GOOD)
def test_the_good_file_is_read(layout: str, tmp_path: Path) -> None:
    image, _ = lay(tmp_path, layout, GOOD[layout][1])
    listing, rows = rows_of(str(tmp_path))
    assert listing.layout == layout
    (box,) = rows[image]["boxes"]
    assert list(box.values())[:4] == pytest.approx([2, 3, 9, 8])
    assert not rows[image]["normal"]


@pytest.mark.parametrize("layout", ["labelme", "supervisely", "cvat_yolo"])
def test_a_damaged_file_of_one_image_is_a_fault(layout: str, tmp_path: Path) -> None:
    image, file = lay(tmp_path, layout, GOOD[layout][1][:-10])
    _, rows = rows_of(str(tmp_path), layout=layout)
    assert rows[image]["error"] is not None
    assert file in rows[image]["error"]
    assert not rows[image]["normal"]
    assert rows[image]["faults"][0]["action"] == "image left out"
    assert rows[image.replace("a.jpg", "other.jpg")]["error"] is None


@pytest.mark.parametrize("layout", ["cvat", "label_studio", "via", "datumaro"])
def test_a_damaged_file_of_many_images_stops(layout: str, tmp_path: Path) -> None:
    """It is found by its beginning all the same, so that it isn't passed over."""
    _, file = lay(tmp_path, layout, GOOD[layout][1][:-10])
    with pytest.raises(UserError, match=rf"{file} is no (JSON|XML) \("):
        Listing(CorpusSection(root=str(tmp_path)))


@pytest.mark.parametrize("layout", GOOD)
def test_an_image_that_is_not_there_is_named(layout: str, tmp_path: Path) -> None:
    image, _ = lay(tmp_path, layout, GOOD[layout][1])
    (tmp_path / image).unlink()
    _, rows = rows_of(str(tmp_path), layout=layout)
    (fault,) = [row for row in rows.values() if row["error"]]
    assert "no such image" in fault["error"] or "annotation of no image" in fault["error"]
    assert len(rows) == 2


# The good files, for an image of 40×16 pixels; VIA and YOLO don't know the size.
WIDER = {
    "labelme": files.labelme_text("a.jpg", BOX, imageWidth=40),
    "cvat": files.cvat_xml(files.cvat_image("a.jpg", files.cvat_box(), size=(40, 16))),
    "label_studio": studio(files.studio_annotation({**LS_BOX, "original_width": 40})),
    "supervisely": files.supervisely_text(SLY_BOX, size=(40, 16)),
    "datumaro": GOOD["datumaro"][1].replace("[16, 20]", "[16, 40]"),
}


@pytest.mark.parametrize("layout", WIDER)
def test_an_image_of_another_size_is_a_fault(layout: str, tmp_path: Path) -> None:
    image, file = lay(tmp_path, layout, WIDER[layout])
    _, rows = rows_of(str(tmp_path))
    assert "it is for an image of 40×16 pixels, the image has 20×16" in rows[image]["error"]
    (fault,) = rows[image]["faults"]  # in its table it stands beside those of the file's other images
    told = fault["reason"] + Path(fault["file"]).name
    assert f"{Path(image).stem}." in told or "task 7" in told
    assert file in rows[image]["error"]


SHAPE_FAULTS: dict[str, list[tuple[Any, str]]] = {
    "labelme": [
        ({**BOX, "points": [[2, 3]]}, "shape 2: a rectangle has two points"),
        ({**BOX, "points": [[2, 3], [90, 8]]}, "shape 2: box .* outside"),
        ({**BOX, "points": [[2, "x"], [9, 8]]}, "shape 2: 'x' is no finite number"),
        ({**BOX, "points": None}, "shape 2: its points are no list of pairs"),
        ({**BOX, "label": None}, "shape 2: its class is null"),
        ({**BOX, "label": True}, "shape 2: its class is true"),
        ({**BOX, "label": 1.0}, r"shape 2: its class is 1\.0"),
        ({**BOX, "shape_type": ["line"]}, "shape 2: a shape of the kind \"\\['line'\\]\" has no box"),
        (files.labelme_shape("point", [[2, 3]]), "shape 2: a shape of the kind 'point' has no box"),
        (files.labelme_shape("mask", [[2, 3], [8, 7]], mask="?"), "shape 2: its mask is no base64"),
        (
            files.labelme_shape("mask", [[2, 3], [8, 8]], mask=files.LABELME_MASK),
            "7×5 pixels, its corners say 7×6",
        ),
        (files.labelme_shape("mask", [[15, 3], [21, 7]], mask=files.LABELME_MASK), "leaves the image"),
    ],
    "supervisely": [
        ({**SLY_BOX, "classTitle": None}, "object 2: its class is null"),
        ({**SLY_BOX, "points": {"exterior": [[2.5, 3], [8, 7]]}}, "object 2: its points are parts of pixels"),
        ({**SLY_BOX, "geometryType": {}}, "object 2: an object of the kind '{}' has no box"),
        ({**SLY_BOX, "geometryType": "point"}, "object 2: an object of the kind 'point' has no box"),
        (
            files.supervisely_object("bitmap", bitmap={"origin": [2, 3], "data": "eJw="}),
            "object 2: its mask is a dam",
        ),
        (
            files.supervisely_object("bitmap", bitmap={"origin": [18, 3], "data": files.SUPERVISELY_MASK}),
            "leaves the",
        ),
        (files.supervisely_object("bitmap", bitmap=None), "object 2: its bitmap is no JSON object"),
    ],
    "datumaro": [
        ({**DM_BOX, "label_id": 9}, "annotation 2 of item a: its label 9 is not listed"),
        ({**DM_BOX, "label_id": None}, "annotation 2 of item a: its label None is not listed"),
        ({**DM_BOX, "label_id": True}, "annotation 2 of item a: its label True is not listed"),
        ({**DM_BOX, "bbox": [2, 3, -7, 5]}, "annotation 2 of item a: box .* is empty"),
        (files.datumaro_note("points", points=[2, 3]), "an annotation of the type 'points' has no box"),
        (files.datumaro_note("mask", rle={"counts": "00", "size": [16, 20]}), "run lengths cover"),
    ],
    "label_studio": [
        ({**LS_BOX, "id": "q", "value": {**LS_BOX["value"], "x": 90}}, "region q of task 7: box .* outside"),
        ({**LS_BOX, "id": "q", "value": {**files.STUDIO_BOX}}, "region q of task 7: it has 0 classes"),
        ({**LS_BOX, "id": "q", "value": {**files.STUDIO_BOX, "labels": ["a", "b"]}}, "it has 2 classes"),
        ({**LS_BOX, "id": "q", "value": None}, "region q of task 7: its value is no JSON object"),
        ({**LS_BOX, "id": "q", "image_rotation": 90}, "drawn on a turned view"),
        ({**LS_BOX, "value": {**LS_BOX["value"], "x": 30}}, "several shapes share its id"),
        (files.studio_region("brush", {"rle": files.BRUSH}, id=LS_BOX["id"]), "several shapes share its id"),
        (files.studio_region("brush", {"format": "rle", "rle": files.BRUSH[:-5]}), "its rle is cut short"),
        (files.studio_region("brush", {"format": "rle", "rle": [0, 0, 5]}), "its rle is cut short"),
        (
            files.studio_region("brush", {"format": "rle", "rle": [0, 0, 9, *files.BRUSH[3:]]}),
            "values, the image needs",
        ),
        (files.studio_region("keypoint", {"x": 5, "y": 5, "width": 1}), "it is no rectangle, polygon"),
    ],
    "via": [
        ({"name": ["rect"]}, "region 2 of a.jpg: a region of the kind"),
        ({"name": "point", "cx": 2, "cy": 3}, "region 2 of a.jpg: a region of the kind 'point' has no box"),
        ({"name": "rect", "x": 2, "y": 3, "width": 7}, "region 2 of a.jpg: 'None' is no finite number"),
        (
            {"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 2]},
            "no two lists of the same length",
        ),
        ({"name": "circle", "cx": 5, "cy": 5, "r": 0}, "an ellipse of the radii 0 and 0 is empty"),
    ],
    "cvat": [
        (files.cvat_box().replace("9.00", "90.00"), "box 2 of a.jpg: box .* outside"),
        (files.cvat_box().replace(' xtl="2.00"', ""), "box 2 of a.jpg: 'None' is no finite number"),
        (files.cvat_box(label=""), "box 2 of a.jpg: '' is no class name"),
        (
            '<points label="dent" points="2.00,3.00"/>',
            "points 2 of a.jpg: a shape of the kind 'points' has no box",
        ),
        ('<skeleton label="dent"><points label="p" points="2,3"/></skeleton>', "'skeleton' has no box"),
        ('<polygon label="dent" points="2.00,3.00;4.00"/>', "polygon 2 of a.jpg: its points are no pairs"),
        (
            '<mask label="dent" rle="1, 2" left="2" top="3" width="7" height="5"/>',
            "covers 3 pixels, its rect",
        ),
        ('<mask label="dent" rle="35" left="2" top="3" width="7" height="5"/>', "its mask is empty"),
        ('<mask label="dent" rle="0, 35" left="15" top="3" width="7" height="5"/>', "leaves the image"),
        ('<mask label="dent" rle="x" left="2" top="3" width="7" height="5"/>', "no list of whole numbers"),
    ],
}


def with_second(layout: str, shape: Any) -> str:
    """The good file with one more shape."""
    if layout == "labelme":
        return files.labelme_text("a.jpg", BOX, shape)
    if layout == "supervisely":
        return files.supervisely_text(SLY_BOX, shape)
    if layout == "datumaro":
        return files.datumaro_text(files.datumaro_item("a", DM_BOX, shape))
    if layout == "label_studio":
        return studio(files.studio_annotation(LS_BOX, shape))
    if layout == "via":
        return via((files.VIA_RECT, {"class": "dent"}), (shape, {"class": "dent"}))
    return files.cvat_xml(files.cvat_image("a.jpg", files.cvat_box(), shape))


@pytest.mark.parametrize(
    ("layout", "shape", "says"),
    [(layout, shape, says) for layout, faults in SHAPE_FAULTS.items() for shape, says in faults],
)
def test_a_damaged_shape_leaves_its_image_out(layout: str, shape: Any, says: str, tmp_path: Path) -> None:
    """Beside a good shape: the image would else be learnt with one defect of two."""
    image, file = lay(tmp_path, layout, with_second(layout, shape))
    _, rows = rows_of(str(tmp_path))
    row = rows[image]
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(row["error"])
    assert file in row["error"]
    assert not row["normal"]
    assert row["boxes"] is None or row["boxes"] == []


@pytest.mark.parametrize(
    ("layout", "text", "says"),
    [
        (
            "cvat",
            "<annotations><version>1.1</version><track id='0' label='a'/></annotations>",
            "is .CVAT for video",
        ),
        (
            "cvat",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><annotations><image name='&b;'/></annotations>",
            "declares a DTD",
        ),
        ("cvat", "<annotations><image id='3'/></annotations>", "image 3 has no file name"),
        (
            "label_studio",
            json.dumps([{"id": 1, "annotations": [{"result": []}]}]),
            "task 1 has no image's name",
        ),
        (
            "label_studio",
            json.dumps([{"annotations": [{"result": []}], "data": {"text": "x"}}]),
            "task at place 1 has",
        ),
        (
            "label_studio",
            json.dumps([{"id": 2, "annotations": [{"result": 3}], "data": {"image": "a.jpg"}}]),
            "task 2 must",
        ),
        (
            "label_studio",
            json.dumps([{"id": 2, "annotations": [{"result": []}], "data": {"x": "a.jpg", "y": "b.jpg"}}]),
            r"task 2 has several images \(x, y\)",
        ),
        (
            "via",
            json.dumps({"a.jpg1": {"filename": "a.jpg", "regions": 3}}),
            "regions of a.jpg must be a list",
        ),
        ("via", json.dumps({"_via_img_metadata": {"a": {"regions": []}}}), "image a has no file name"),
        (
            "via",
            json.dumps({"_via_img_metadata": {k: {"filename": "a.jpg", "regions": []} for k in "ab"}}),
            "lists a.jpg a second time",
        ),
        ("datumaro", json.dumps({"dm_format_version": "1.0", "items": []}), "categories has no label.labels"),
        (
            "datumaro",
            files.datumaro_text({"id": "a", "annotations": None}),
            "annotations of a must be a list",
        ),
        ("datumaro", files.datumaro_text({"annotations": []}), "an item without id has no file name"),
    ],
)
def test_a_broken_table_is_the_users_to_mend(layout: str, text: str, says: str, tmp_path: Path) -> None:
    lay(tmp_path, layout, text)
    with pytest.raises(UserError, match=says):
        Listing(CorpusSection(root=str(tmp_path), layout=layout))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('a.jpg,1,"{}",1,0,"{""name"":""rect""', "is no CSV"),
        ("a.jpg,1,{}", "line 2 has 3 columns instead of 7"),
        ('a.jpg,1,"{}",1,0,"{""name""","{}"', "line 2 holds no JSON"),
        (',1,"{}",1,0,"{}","{}"', "line 2: it has no file name"),
    ],
)
def test_a_broken_csv_of_via_names_the_line(line: str, says: str, tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    columns = (
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    )
    write(tmp_path / "via.csv", f"{columns}\n{line}\n")
    with pytest.raises(UserError, match=says):
        Listing(CorpusSection(root=str(tmp_path)))


def test_a_region_of_a_csv_of_via_whose_shape_is_lost_leaves_its_image_out(tmp_path: Path) -> None:
    """`region_count` says that there is one; without it the image was unlabelled without a word."""
    paint(tmp_path / "a.jpg")
    paint(tmp_path / "b.jpg")
    columns = (
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    )
    lines = ('a.jpg,1,"{}",1,0,"{}","{}"', 'b.jpg,1,"{}",0,0,"{}","{}"')
    write(tmp_path / "via.csv", "\n".join((columns, *lines)))
    _, rows = rows_of(str(tmp_path))
    assert "region 1" in rows["a.jpg"]["error"]
    assert (rows["b.jpg"]["error"], rows["b.jpg"]["labelled"]) == (None, False)
