"""Tiny trees of labelling tools' exports, as the tools write them, and what must be read from them.

All images are 20×16; `RECT` is the box (2, 3, 9, 8). A box of 7×5 pixels about (5.5, 5.5), turned by 90°,
covers (3, 2, 8, 9).
"""

import json
from pathlib import Path

from tests.pipelines.layouts import via_trees
from tests.pipelines.layouts.published_trees import (
    RECT,
    TREES,
    Expected,
    Tree,
    boxed,
    good,
    paint,
    write,
)
from tests.pipelines.layouts.tool_files import (
    BRUSH,
    DATUMARO_MASK,
    LABELME_MASK,
    OUTLINE,
    STUDIO_BOX,
    SUPERVISELY_MASK,
    cvat_box,
    cvat_image,
    cvat_xml,
    datumaro_item,
    datumaro_note,
    datumaro_text,
    labelme_shape,
    labelme_text,
    studio_annotation,
    studio_region,
    studio_task,
    supervisely_object,
    supervisely_text,
)

TURNED = (3.0, 2.0, 8.0, 9.0)


def labelme(root: Path) -> dict[str, Expected]:
    for name in "123456":
        paint(root / f"line/{name}.jpg")
    paint(root / "photos/7.jpg")
    write(root / "line/1.json", labelme_text("1.jpg", labelme_shape("rectangle", [[9.0, 8.0], [2.0, 3.0]])))
    shapes = (
        labelme_shape("polygon", OUTLINE, "0"),
        labelme_shape("mask", [[12.0, 1.0], [18.0, 5.0]], "no", mask=LABELME_MASK),
    )
    write(root / "line/2.json", labelme_text("2.jpg", *shapes))
    write(root / "line/3.json", labelme_text("3.jpg"))
    turned = labelme_shape("oriented_rectangle", [[8, 2], [8, 9], [3, 9], [3, 2]])
    write(
        root / "line/4.json",
        labelme_text("4.jpg", turned, labelme_shape("line", [[2, 3], [9, 3]], "scratch")),
    )
    write(root / "line/5.json", labelme_text("5.jpg", flags={"ok": True, "seen": False}))
    write(
        root / "json/seven.json",
        labelme_text("..\\photos\\7.jpg", labelme_shape("rectangle", [[2, 3], [9, 8]])),
    )
    return {
        "line/1.jpg": boxed("surface", (2, 3, 9, 8, "dent")),
        "line/2.jpg": Expected(
            "surface", False, True, ((2, 3, 9, 8, "0"), (14, 2, 19, 6, "no")), (RECT, (14, 2, 19, 6))
        ),
        "line/3.jpg": good("surface"),
        "line/4.jpg": boxed("surface", (*TURNED, "dent"), (2, 2.5, 9, 3.5, "scratch")),
        "line/5.jpg": good("surface"),
        "line/6.jpg": Expected("surface"),
        "photos/7.jpg": boxed("surface", (2, 3, 9, 8, "dent")),
    }


def cvat(root: Path) -> dict[str, Expected]:
    names = ("train/a.jpg", "train/sub/b.jpg", "train/c.jpg", "val/a.jpg", "val/d.jpg", "val/e.jpg", "f.jpg")
    for name in names:
        paint(root / "images" / name)
    # 7×5 pixels along the rows, background first: the whole rectangle but its first row and two columns.
    runs = "9, 5, 2, 5, 2, 5, 2, 5"
    mask = (
        f'<mask label="no" source="manual" occluded="0" rle="{runs}" left="12" top="1" width="7" height="5"/>'
    )
    points = "2.00,3.00;9.00,3.00;9.00,8.00;2.00,8.00"
    polygon = f'<polygon label="1_0" source="manual" occluded="0" points="{points}" z_order="0"></polygon>'
    polyline = '<polyline label="scratch" points="2.00,3.00;9.00,8.00"/>'
    train = cvat_xml(
        cvat_image("a.jpg", cvat_box("90.00"), subset="train"),
        cvat_image("sub/b.jpg", polygon, mask, subset="train"),
        cvat_image("c.jpg", '<tag label="Good" source="manual"></tag>', subset="train"),
    )
    val = cvat_xml(
        cvat_image("a.jpg", cvat_box(), polyline, subset="val"),
        cvat_image("d.jpg", subset="val"),
        cvat_image("e.jpg", '<tag label="blurred"/>', subset="val"),
    )
    write(root / "task 1.xml", train)
    write(root / "task 2.xml", val)
    return {
        "images/train/a.jpg": boxed("surface", (*TURNED, "dent")),
        "images/train/sub/b.jpg": Expected(
            "surface", False, True, ((2, 3, 9, 8, "1_0"), (14, 2, 19, 6, "no")), (RECT, (14, 2, 19, 6))
        ),
        "images/train/c.jpg": good("surface"),
        "images/val/a.jpg": boxed("surface", (2, 3, 9, 8, "dent"), (2, 3, 9, 8, "scratch")),
        "images/val/d.jpg": Expected("surface"),
        "images/val/e.jpg": Expected("surface"),
        "images/f.jpg": Expected("surface"),
    }


def cvat_yolo(root: Path) -> dict[str, Expected]:
    for name in ("obj_train_data/1.jpg", "obj_train_data/sub/2.jpg", "obj_train_data/3.jpg", "extra/4.jpg"):
        paint(root / name)
    (root / "obj.names").write_bytes(b"\xef\xbb\xbfno\r\n1_0\r\n007\r\noff\r\n")
    write(
        root / "obj.data", "classes = 4\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"
    )
    write(
        root / "train.txt",
        "data/obj_train_data/1.jpg\ndata/obj_train_data/sub/2.jpg\ndata/obj_train_data/3.jpg\n",
    )
    write(root / "obj_train_data/1.txt", "0 0.275000 0.343750 0.350000 0.312500\n")
    write(root / "obj_train_data/sub/2.txt", "2 0.275 0.34375 0.35 0.3125\n3 0.7 0.21875 0.2 0.3125\n")
    write(root / "obj_train_data/3.txt", "")
    return {
        "obj_train_data/1.jpg": boxed("surface", (2, 3, 9, 8, "no")),
        "obj_train_data/sub/2.jpg": boxed("surface", (2, 3, 9, 8, "007"), (12, 1, 16, 6, "off")),
        "obj_train_data/3.jpg": Expected("surface"),
        "extra/4.jpg": Expected("surface"),
    }


# RECT's size with its upper left corner at (8, 2), turned by 90° about that corner: TURNED.
STUDIO_TURNED = {"x": 40.0, "y": 12.5, "width": 35.0, "height": 31.25, "rotation": 90}


def label_studio(root: Path) -> dict[str, Expected]:
    for name in ("1a2b3c4d-a b.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg", "deep/g.jpg", "h.jpg"):
        paint(root / "images" / name)
    points = {"points": [[10, 18.75], [45, 18.75], [45, 50], [10, 50]], "closed": True}
    relation = {"from_id": "a", "to_id": "b", "type": "relation", "direction": "right"}
    chosen = {
        "id": "x",
        "type": "choices",
        "value": {"choices": ["Blurred"]},
        "from_name": "c",
        "to_name": "image",
    }
    # Rectangle and Labels as two tags: the shape in one result, its class in another of the same region.
    shape = {**studio_region("rectangle", STUDIO_BOX), "id": "z", "type": "rectangle", "value": STUDIO_BOX}
    named = {**shape, "type": "labels", "value": {**STUDIO_BOX, "labels": ["007"]}}
    first = [
        studio_task(
            1,
            "/data/upload/4/1a2b3c4d-a%20b.jpg",
            studio_annotation(studio_region("rectangle", STUDIO_TURNED)),
        ),
        studio_task(
            2,
            "/data/upload/4/0f0f0f0f-b.jpg",
            studio_annotation(
                studio_region("polygon", points, "1"),
                studio_region("brush", {"format": "rle", "rle": BRUSH}, "off"),
                relation,
            ),
        ),
        studio_task(3, "/data/local-files/?d=images/c.jpg", studio_annotation()),
        studio_task(4, "s3://bucket/d.jpg", studio_annotation(was_cancelled=True)),
    ]
    second = [
        studio_task(5, "e.jpg", studio_annotation(chosen)),
        studio_task(6, "f.jpg"),
        studio_task(
            7,
            "https://host/x/g.jpg?token=1",
            studio_annotation(studio_region("rectangle", STUDIO_TURNED), updated_at="2026-03-02T10:00:00Z"),
            studio_annotation(shape, named, updated_at="2026-03-03T10:00:00Z"),
            studio_annotation(was_cancelled=True, updated_at="2026-03-04T10:00:00Z"),
        ),
        studio_task(
            8,
            "h.jpg",
            studio_annotation(studio_region("rectangle", STUDIO_BOX, "no"), ground_truth=True),
            studio_annotation(updated_at="2026-03-03T10:00:00Z"),
        ),
    ]
    write(root / "project-1.json", json.dumps(first))
    write(root / "project-2.json", json.dumps(second))
    return {
        "images/1a2b3c4d-a b.jpg": boxed("surface", (*TURNED, "dent")),
        "images/b.jpg": Expected("surface", False, True, ((2, 3, 9, 8, "1"), (2, 3, 9, 8, "off")), (RECT,)),
        "images/c.jpg": good("surface"),
        "images/d.jpg": Expected("surface"),
        "images/e.jpg": Expected("surface"),
        "images/f.jpg": Expected("surface"),
        "images/deep/g.jpg": boxed("surface", (2, 3, 9, 8, "007")),
        "images/h.jpg": boxed("surface", (2, 3, 9, 8, "no")),
    }


def supervisely(root: Path) -> dict[str, Expected]:
    for name in ("line/img/1.jpg", "line/img/2.jpg", "line/img/3.png", "other/img/1.jpg"):
        paint(root / name)
    write(root / "meta.json", json.dumps({"classes": [{"title": "dent", "shape": "any"}], "tags": []}))
    # Whole pixels, both ends included: RECT ends at the pixel (8, 7).
    rectangle = supervisely_object("rectangle", points={"exterior": [[2, 3], [8, 7]], "interior": []})
    turned = supervisely_object("oriented_bbox", "no", points=[[2, 3], [8, 7]], angle=1.5707963267948966)
    write(root / "line/ann/1.jpg.json", supervisely_text(rectangle, turned))
    outline = {"exterior": [[2, 3], [8, 3], [8, 7], [2, 7]], "interior": []}
    drawn = {"origin": [12, 1], "data": SUPERVISELY_MASK}
    both = (
        supervisely_object("polygon", "0", points=outline),
        supervisely_object("bitmap", "1_0", bitmap=drawn),
    )
    write(root / "line/ann/2.jpg.json", supervisely_text(*both))
    write(root / "line/ann/3.png.json", supervisely_text())
    return {
        "line/img/1.jpg": boxed("surface", (2, 3, 9, 8, "dent"), (*TURNED, "no")),
        "line/img/2.jpg": Expected(
            "surface", False, True, ((2, 3, 9, 8, "0"), (12, 1, 16, 4, "1_0")), (RECT, (12, 1, 16, 4))
        ),
        "line/img/3.png": Expected("surface", labelled=True),  # in the corpus: unlabelled, an "empty mask"
        "other/img/1.jpg": Expected("surface"),
    }


def datumaro(root: Path) -> dict[str, Expected]:
    for name in ("train/a.jpg", "train/sub_b.jpg", "train/c.jpg", "val/a.jpg", "val/d.jpg"):
        paint(root / "images" / name)
    turned = datumaro_note(
        "bbox", bbox=[2.0, 3.0, 7.0, 5.0], attributes={"rotation": 90.0, "occluded": False}
    )
    outline = datumaro_note("polygon", points=[2.0, 3.0, 9.0, 3.0, 9.0, 8.0, 2.0, 8.0])
    train = datumaro_text(
        datumaro_item("a", turned),
        datumaro_item("sub/b", outline, datumaro_note("mask", rle=DATUMARO_MASK), path="sub_b.jpg"),
        datumaro_item("c", datumaro_note("label", 1)),
    )
    write(root / "annotations/train.json", train)
    box = datumaro_note("bbox", bbox=[2.0, 3.0, 7.0, 5.0])
    write(root / "annotations/val.json", datumaro_text(datumaro_item("a", box), datumaro_item("d")))
    return {
        "images/train/a.jpg": boxed("surface", (*TURNED, "1_0")),
        "images/train/sub_b.jpg": Expected(
            "surface", False, True, ((2, 3, 9, 8, "1_0"), (2, 3, 9, 8, "1_0")), (RECT,)
        ),
        "images/train/c.jpg": good("surface"),
        "images/val/a.jpg": boxed("surface", (2, 3, 9, 8, "1_0")),
        "images/val/d.jpg": Expected("surface"),
    }


TOOL_TREES: dict[str, tuple[str, Tree]] = {  # test → (layout, tree)
    "labelme": ("labelme", labelme),
    "cvat": ("cvat", cvat),
    "cvat_yolo": ("cvat_yolo", cvat_yolo),
    "label_studio": ("label_studio", label_studio),
    "via": ("via", via_trees.via),
    "via, CSV": ("via", via_trees.via_csv),
    "via 3": ("via", via_trees.via3),
    "via 3, CSV": ("via", via_trees.via3_csv),
    "supervisely": ("supervisely", supervisely),
    "datumaro": ("datumaro", datumaro),
    "coco, of Roboflow": ("coco", via_trees.roboflow),
}
ALL_TREES = TREES | TOOL_TREES
