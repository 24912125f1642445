"""Tiny trees of labelling tools' exports, as the tools write them, and what must be read from them.

All images are 20×16; `RECT` is the box (2, 3, 9, 8). A box of 7×5 pixels about (5.5, 5.5), turned by 90°,
covers (3, 2, 8, 9). The texts of masks are what the tools themselves wrote: labelme 6.3.1, label-studio-sdk
2.1.2, supervisely 6.74.51, datumaro 1.13.12. CVAT's and VIA's files are written as their sources write them
(CVAT 2, VIA 2.0 and 3.0), Roboflow's as its exports look.
"""

import json
from pathlib import Path
from typing import Any

from tests.pipelines.layouts.published_trees import (
    HEIGHT,
    RECT,
    TREES,
    WIDTH,
    Expected,
    Tree,
    boxed,
    good,
    masked,
    paint,
    write,
)

TURNED = (3.0, 2.0, 8.0, 9.0)
LABELME_MASK = (  # 7×5 pixels, all but the first row and the first two columns
    "iVBORw0KGgoAAAANSUhEUgAAAAcAAAAFCAAAAACs8akEAAAAGElEQVR4nGNggABGBgZGBgYGBiYoH50GAADFAAmKXNlLAAAAAElFTkSuQmCC"
)
SUPERVISELY_MASK = (  # 4×3 pixels, all
    "eJzrDPBz5+WS4mJgYOD19HAJAtIsQMzMyAwk+6xsWoEUW4BPiCuQ/v///9Kb8+8CWYwlQX7BDA7PbqQBOXyeLo4hFXOSfxw4cuAIUPsh"
    "hq+7f9//CpRh8HT1c1nnlNAEAM7jHk4="
)
BRUSH = [  # RECT in an image of 20×16
    *(0, 0, 5, 0, 57, 27, 254, 247, 0, 195, 127, 248, 204, 3, 13, 255, 227),
    *(48, 12, 55, 255, 140, 192, 48, 223, 254, 51, 0, 195, 127, 252, 10, 172, 0),
]
DATUMARO_MASK = {"counts": "S15;00000000000]5", "size": [16, 20]}  # RECT
OUTLINE = [[2, 3], [9, 3], [9, 8], [2, 8]]


def labelme_shape(kind: str, points: list[Any], label: Any = "dent", **more: Any) -> dict[str, Any]:
    """A shape as labelme 6 writes it."""
    parts = {"group_id": None, "description": "", "flags": {}, "mask": None}
    return {"label": label, "points": points, **parts, "shape_type": kind, **more}


def labelme_text(image: str, *shapes: dict[str, Any], **more: Any) -> str:
    """A file as labelme 6 writes it."""
    parts = {"imagePath": image, "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
    return json.dumps({"version": "6.3.1", "flags": {}, "shapes": shapes, **parts, **more}, indent=2)


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


def cvat_xml(*images: str) -> str:
    """A file as CVAT writes it."""
    meta = "<meta><job><id>7</id><mode>annotation</mode></job></meta>"
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    return f"{head}{meta}{''.join(images)}</annotations>\n"


def cvat_image(
    name: str, *shapes: str, subset: str | None = None, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> str:
    """An image of CVAT's file."""
    more = f' subset="{subset}" task_id="3"' if subset else ""
    inner = "".join(shapes)
    return f'<image id="0" name="{name}"{more} width="{size[0]}" height="{size[1]}">{inner}</image>\n'


def cvat_box(rotation: str = "", label: str = "dent") -> str:
    """RECT as CVAT's box."""
    more = f' rotation="{rotation}"' if rotation else ""
    sides = 'xtl="2.00" ytl="3.00" xbr="9.00" ybr="8.00"'
    return f'<box label="{label}" source="manual" occluded="0" {sides}{more} z_order="0"></box>'


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


def studio_region(kind: str, value: dict[str, Any], label: str = "dent", **more: Any) -> dict[str, Any]:
    """A region as Label Studio writes it."""
    return {
        "id": f"r{kind}{label}",
        "type": f"{kind}labels",
        "value": {**value, f"{kind}labels": [label]},
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "from_name": "label",
        "to_name": "image",
        "origin": "manual",
        **more,
    }


def studio_annotation(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An annotation as Label Studio writes it."""
    parts = {"completed_by": 1, "was_cancelled": False, "ground_truth": False, "lead_time": 3.1}
    return {"id": 5, "result": list(results), "created_at": "2026-03-01T10:00:00Z", **parts, **more}


def studio_task(number: int, image: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    """A task as Label Studio writes it."""
    more = {"drafts": [], "predictions": [], "meta": {}, "total_annotations": len(annotations)}
    return {"id": number, "annotations": list(annotations), **more, "data": {"image": image}}


STUDIO_BOX = {"x": 10.0, "y": 18.75, "width": 35.0, "height": 31.25, "rotation": 0}
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


VIA_RECT = {"name": "rect", "x": 2, "y": 3, "width": 7, "height": 5}
VIA_POLYGON = {"name": "polygon", "all_points_x": [2, 9, 9, 2], "all_points_y": [3, 3, 8, 8]}


def via_image(name: str, *regions: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """An image as VIA 2 writes it."""
    rows = [{"shape_attributes": shape, "region_attributes": attributes} for shape, attributes in regions]
    return {f"{name}1234": {"filename": name, "size": 1234, "regions": rows, "file_attributes": {}}}


def via(root: Path) -> dict[str, Expected]:
    for name in "abcd":
        paint(root / f"{name}.jpg")
    images = {
        **via_image(
            "a.jpg", (VIA_RECT, {"kind": "1_0"}), ({"name": "polyline", **_line()}, {"kind": "scratch"})
        ),
        **via_image("b.jpg", (VIA_POLYGON, {"kind": {"no": True, "off": False}})),
        **via_image("c.jpg"),
    }
    project = {
        "_via_settings": {"ui": {}, "core": {"buffer_size": 18}, "project": {"name": "steel"}},
        "_via_img_metadata": images,
        "_via_attributes": {"region": {"kind": {"type": "dropdown", "options": {"1_0": ""}}}, "file": {}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": list(images),
    }
    write(root / "via_project.json", json.dumps(project))
    write(root / "via_region_data.json", json.dumps(images))  # the export beside it says the same
    return {
        "a.jpg": boxed("surface", (2, 3, 9, 8, "1_0"), (2, 3, 9, 8, "scratch")),
        "b.jpg": masked("surface", "no", RECT),
        "c.jpg": Expected("surface"),
        "d.jpg": Expected("surface"),
    }


def _line() -> dict[str, Any]:
    return {"all_points_x": [2, 9], "all_points_y": [3, 8]}


def via_csv(root: Path) -> dict[str, Expected]:
    for name in "abc":
        paint(root / f"photos/{name}.jpg")
    header = (
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    )
    box = '"{""name"":""rect"",""x"":2,""y"":3,""width"":7,""height"":5}"'
    first = f'a.jpg,9,"{{}}",1,0,{box},"{{""class"":""007"",""note"":""x""}}"'
    rows = f'{header}\n{first}\nb.jpg,9,"{{}}",0,0,"{{}}","{{}}"\n'
    write(root / "via_region_data.csv", rows)
    return {
        "photos/a.jpg": boxed("surface", (2, 3, 9, 8, "007")),
        "photos/b.jpg": Expected("surface"),
        "photos/c.jpg": Expected("surface"),
    }


VIA3_ATTRIBUTES = {
    "1": {
        "aname": "kind",
        "anchor_id": "FILE1_Z0_XY1",
        "type": 4,
        "desc": "",
        "options": {"0": "no", "1": "1_0"},
    }
}


def via3(root: Path) -> dict[str, Expected]:
    for name in "abc":
        paint(root / f"{name}.jpg")
    files = {
        str(n): {"fid": n, "fname": f"{c}.jpg", "type": 2, "loc": 1, "src": ""}
        for n, c in enumerate("abc", 1)
    }
    project = {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "rev": "__VIA_PROJECT_REV_ID__",
            "vid_list": ["1", "2", "3"],
        },
        "config": {"file": {"loc_prefix": {"1": "", "2": ""}}, "ui": {}},
        "attribute": VIA3_ATTRIBUTES,
        "file": files,
        "metadata": {
            "1_q": {"vid": "1", "flg": 0, "z": [], "xy": [2, 2, 3, 7, 5], "av": {"1": "1"}},
            "2_q": {"vid": "2", "flg": 0, "z": [], "xy": [7, 2, 3, 9, 3, 9, 8, 2, 8], "av": {"1": "0"}},
            "3_q": {"vid": "3", "flg": 0, "z": [], "xy": [], "av": {"9": "a picture"}},
        },
        "view": {str(n): {"fid_list": [str(n)]} for n in (1, 2, 3)},
    }
    write(root / "steel.json", json.dumps(project))
    return {
        "a.jpg": boxed("surface", (2, 3, 9, 8, "1_0")),
        "b.jpg": masked("surface", "no", RECT),
        "c.jpg": Expected("surface"),
    }


def via3_csv(root: Path) -> dict[str, Expected]:
    for name in "ab":
        paint(root / f"{name}.jpg")
    lines = [
        "# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
        "# Notes:",
        '# SHAPE_ID = {"POINT":1,"RECTANGLE":2}',
        f"# ATTRIBUTE = {json.dumps(VIA3_ATTRIBUTES)}",
        "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata",
        '"1_q","[""a.jpg""]",0,"[]","[2,2,3,7,5]","{""1"":""1""}"',
    ]
    write(root / "steel.csv", "\n".join(lines))
    return {"a.jpg": boxed("surface", (2, 3, 9, 8, "1_0")), "b.jpg": Expected("surface")}


def supervisely_text(*objects: dict[str, Any], size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    """An annotation as Supervisely writes it."""
    document = {"description": "", "tags": [], "size": {"height": size[1], "width": size[0]}}
    return json.dumps({**document, "objects": list(objects), "customBigData": {}})


def supervisely_object(kind: str, label: str = "dent", **more: Any) -> dict[str, Any]:
    """An object as Supervisely writes it."""
    return {"classTitle": label, "description": "", "tags": [], "geometryType": kind, "shape": kind, **more}


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


def datumaro_text(*items: dict[str, Any], labels: tuple[Any, ...] = ("1_0", "ok")) -> str:
    """A subset as Datumaro writes it."""
    classes = {"labels": [{"name": label, "parent": "", "attributes": []} for label in labels]}
    head = {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": {"label": classes}}
    return json.dumps({**head, "items": list(items)})


def datumaro_item(name: str, *annotations: dict[str, Any], path: str = "") -> dict[str, Any]:
    """An item as Datumaro writes it: the image's size is height, width."""
    image = {"path": path or f"{name}.jpg", "size": [HEIGHT, WIDTH]}
    return {"id": name, "annotations": list(annotations), "image": image}


def datumaro_note(kind: str, label: int | None = 0, **more: Any) -> dict[str, Any]:
    """An annotation as Datumaro writes it."""
    return {"id": 0, "type": kind, "attributes": {}, "group": 0, "label_id": label, "z_order": 0, **more}


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


def roboflow(root: Path) -> dict[str, Expected]:
    for name in ("train/a.jpg", "train/b.jpg", "valid/a.jpg"):
        paint(root / name)
    for split, names in {"train": ("a.jpg", "b.jpg"), "valid": ("a.jpg",)}.items():
        images = [
            {
                "id": place,
                "license": 1,
                "file_name": name,
                "height": HEIGHT,
                "width": WIDTH,
                "date_captured": "",
            }
            for place, name in enumerate(names)
        ]
        note = {
            "id": 0,
            "image_id": 0,
            "category_id": 1,
            "bbox": [2, 3, 7, 5],
            "area": 35,
            "segmentation": [],
        }
        classes = [
            {"id": 0, "name": "steel-defects", "supercategory": "none"},
            {"id": 1, "name": "dent", "supercategory": "steel-defects"},
        ]
        document = {
            "info": {},
            "licenses": [],
            "categories": classes,
            "images": images,
            "annotations": [note],
        }
        write(root / split / "_annotations.coco.json", json.dumps(document))
    return {
        "train/a.jpg": boxed("surface", (2, 3, 9, 8, "dent")),
        "train/b.jpg": good("surface"),
        "valid/a.jpg": boxed("surface", (2, 3, 9, 8, "dent")),
    }


TOOL_TREES: dict[str, tuple[str, Tree]] = {  # test → (layout, tree)
    "labelme": ("labelme", labelme),
    "cvat": ("cvat", cvat),
    "cvat_yolo": ("cvat_yolo", cvat_yolo),
    "label_studio": ("label_studio", label_studio),
    "via": ("via", via),
    "via, CSV": ("via", via_csv),
    "via 3": ("via", via3),
    "via 3, CSV": ("via", via3_csv),
    "supervisely": ("supervisely", supervisely),
    "datumaro": ("datumaro", datumaro),
    "coco, of Roboflow": ("coco", roboflow),
}
ALL_TREES = TREES | TOOL_TREES
