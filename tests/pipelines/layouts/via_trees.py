"""Tiny trees of VIA's projects and exports and of Roboflow's COCO, see `tool_trees`."""

import json
from pathlib import Path
from typing import Any

from tests.pipelines.layouts.published_trees import (
    HEIGHT,
    RECT,
    WIDTH,
    Expected,
    boxed,
    good,
    masked,
    paint,
    write,
)
from tests.pipelines.layouts.tool_files import VIA_POLYGON, VIA_RECT, via_image


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
