"""Files of labelling tools as the tools write them, for images of 20×16 pixels.

The texts of masks are what the tools themselves wrote: labelme 6.3.1, label-studio-sdk 2.1.2, supervisely
6.74.51, datumaro 1.13.12. CVAT's and VIA's files are written as their sources write them (CVAT 2, VIA
2.0 and 3.0).
"""

import json
from typing import Any

from tests.pipelines.layouts.published_trees import HEIGHT, WIDTH

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
STUDIO_BOX = {"x": 10.0, "y": 18.75, "width": 35.0, "height": 31.25, "rotation": 0}
VIA_RECT = {"name": "rect", "x": 2, "y": 3, "width": 7, "height": 5}
VIA_POLYGON = {"name": "polygon", "all_points_x": [2, 9, 9, 2], "all_points_y": [3, 3, 8, 8]}


def labelme_shape(kind: str, points: list[Any], label: Any = "dent", **more: Any) -> dict[str, Any]:
    """A shape as labelme 6 writes it."""
    parts: dict[str, Any] = {"group_id": None, "description": "", "flags": {}, "mask": None}
    return {"label": label, "points": points, **parts, "shape_type": kind, **more}


def labelme_text(image: str, *shapes: dict[str, Any], **more: Any) -> str:
    """A file as labelme 6 writes it."""
    parts = {"imagePath": image, "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
    return json.dumps({"version": "6.3.1", "flags": {}, "shapes": shapes, **parts, **more}, indent=2)


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


def via_image(name: str, *regions: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """An image as VIA 2 writes it."""
    rows = [{"shape_attributes": shape, "region_attributes": attributes} for shape, attributes in regions]
    return {f"{name}1234": {"filename": name, "size": 1234, "regions": rows, "file_attributes": {}}}


def supervisely_text(*objects: dict[str, Any], size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    """An annotation as Supervisely writes it."""
    document = {"description": "", "tags": [], "size": {"height": size[1], "width": size[0]}}
    return json.dumps({**document, "objects": list(objects), "customBigData": {}})


def supervisely_object(kind: str, label: str = "dent", **more: Any) -> dict[str, Any]:
    """An object as Supervisely writes it."""
    return {"classTitle": label, "description": "", "tags": [], "geometryType": kind, "shape": kind, **more}


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
