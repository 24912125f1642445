"""`coco`: COCO detection JSON, boxes with or without polygons or run lengths.

JSON files of any name and folder that hold `images`, `annotations` and `categories`; where some are named
    annotations/*.json, *coco*.json or instances*.json, those alone
images where their `file_name` says, relative to the JSON file or the root, or to a folder whose name is in
    the JSON file's (`train2017` for `instances_train2017.json`); else the only file of that path's end. A
    name that leads out of the root (`../`, `/data/upload/4/`, a URL) means the only file of its last part.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from cluster.errors import UserError
from pipelines.annotations import (
    Annotation,
    AnnotationError,
    has_single_objects,
    is_tagged,
    written_label,
)
from pipelines.layouts.base import SURFACE, Entry, LostLabel, doubt_of, layout
from pipelines.layouts.listed_images import (
    Listed,
    ListedImages,
    found_entries,
    objects_in,
    read_json_document,
)
from pipelines.layouts.outline import LIST
from pipelines.layouts.split_names import split_of_place, split_of_table
from pipelines.layouts.tree import SAMPLES, Tree

PARTS = ("images", "annotations", "categories")
NUMBER = re.compile(r"(0|-?[1-9]\d{0,17})(?:\.0+)?", re.ASCII)  # not 007, which is a name
AREA_ROUNDING = 1e-3  # of an area: converters round it
DEPTHS = {"id": 0, "iscrowd": 0, "bbox": 1, "segmentation": 2}  # lists in lists that each part may have


def _is_named_so(path: PurePosixPath) -> bool:
    name = path.name.lower()
    return (
        path.parts[-2:-1] == ("annotations",)
        or "coco" in name
        or name.startswith(("instances", "annotations"))
    )


def _fits(tree: Tree) -> bool:
    named = [path for path in tree.ending(".json") if _is_named_so(path)][:SAMPLES]
    # A file of such a name that shows no keys is a broken one, which `coco` refuses by name.
    return any(not tree.json_keys(path) for path in named) or any(
        _shows_coco(tree.json_keys(path)) for path in (*named, *tree.samples(".json"))
    )


def _shows_coco(keys: frozenset[tuple[str, ...]]) -> bool:
    """Whether a file's beginning looks like COCO's form; the other parts may come after a long list."""
    return any(
        wanted <= keys
        for wanted in (
            {("images", LIST, "file_name")},
            {("annotations", LIST, "image_id"), ("annotations", LIST, "category_id")},
            {("images",), ("annotations",)},
        )
    )


@layout(fits=_fits)
def coco(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category, `surface` unless the source names another; COCO's categories are the defect classes.

    An image that a file lists without annotation is normal, unless the file has annotations of images that it
    does not list; one that no file lists is unlabelled. Such annotations are lost labels. A listed image that
    is not below the root is a fault, wherever its name leads; so is one of which two files say different
    things, as nobody can tell which is right.

    Raises:
        UserError: no JSON of this form, a key twice, ids that are missing or used twice, an image that one
            file lists twice.
    """
    files = [path for path in tree.ending(".json") if _is_named_so(path)] or tree.ending(".json")
    yield from entries_of(tree, files, SURFACE)


def entries_of(tree: Tree, files: Iterable[PurePosixPath], category: str) -> Iterable[Entry | LostLabel]:
    """Lost labels, the images that these files list, then the others, unlabelled; see `coco`.

    Args:
        tree: all files.
        files: files of COCO's form; JSON of another kind is skipped.
        category: object category of every image.
    """
    finder = ListedImages(tree)
    by_image: dict[str, list[Listed]] = defaultdict(list)
    unusable: list[Entry] = []
    for path in files:
        document = _read(tree, path)
        if document is None:
            tree.tables.discard(path)  # it is passed over
            continue
        own: set[str] = set()
        for one in _listed(tree, path, document):
            if isinstance(one, LostLabel):
                yield one
                continue
            file, reason = finder.find(one)
            name = one.names[0] if file is None else file
            if name in own:
                raise UserError(f"{tree.uri(path)} lists {name[:200]} a second time; list every image once.")
            own.add(name)
            if file is None:
                unusable.append(Entry(name, category, fault=f"{tree.uri(path)} lists it, but {reason}"))
            else:
                by_image[file].append(one)
    if not by_image and not unusable:
        raise UserError(
            f"{tree.root.uri} holds no COCO file that lists images ({', '.join(PARTS)}); set another layout."
        )
    yield from {entry.path: entry for entry in unusable}.values()
    yield from found_entries(tree, by_image, category)


def _read(tree: Tree, path: PurePosixPath) -> Mapping[str, Any] | None:
    """The document, or None where it is JSON of another kind."""
    document = read_json_document(tree, path)
    if not isinstance(document, dict) or not all(part in document for part in PARTS):
        return None
    for part in PARTS:
        objects_in(document[part], part, tree.uri(path))
    return document


def _listed(tree: Tree, path: PurePosixPath, document: Mapping[str, Any]) -> Iterable[Listed | LostLabel]:
    where, subset = tree.uri(path), split_of_table(path.stem) or split_of_place(path)
    images, categories = _by_id(document, "images", where), _by_id(document, "categories", where)
    names = {}
    for number, category in categories.items():
        try:
            names[number] = written_label(category.get("name"))
        except AnnotationError as error:
            raise UserError(f"{where}: the category {number}: {error}; correct it.") from None
    objects: dict[object, list[dict[str, Any]]] = defaultdict(list)
    lost: list[LostLabel] = []
    among_objects = has_single_objects(document["annotations"])
    for item in document["annotations"]:
        image, kind = _key(item.get("image_id")), _key(item.get("category_id"))
        fields = {name: item.get(name) for name in DEPTHS}
        if not all(_nests(fields[name], depth) for name, depth in DEPTHS.items()):
            raise UserError(f"{where}: annotation {str(item.get('id'))[:20]} nests too deeply; correct it.")
        if image in images:
            number = {} if kind in names else {"category_id": item.get("category_id")}
            tagged = {"tagged": True} if is_tagged(item) else {}
            odd = {**_turned(item), **_cornered(item), **_ignored(item)}
            objects[image].append({**fields, **number, **tagged, **odd, "label": names.get(kind)})
        else:
            named = f"annotation {str(item.get('id'))[:20]}"
            reason = f"{named}: its image {str(item.get('image_id'))[:40]} is not listed"
            lost.append(LostLabel(str(path), reason))
    yield from lost
    doubt = doubt_of(where, lost)
    for number, record in images.items():
        name = record.get("file_name")
        if not isinstance(name, str) or not name or len(name) > 1000 or not name.isprintable():
            raise UserError(f"{where}: image {str(number)[:20]} has no file_name; correct it.")
        if doubt is not None and not objects[number]:
            yield Listed(path, (name,), doubt=doubt, subset=subset, by_last_part=True)
            continue
        size = [record["width"], record["height"]] if "width" in record and "height" in record else None
        image_objects = objects[number]
        content = json.dumps({"size": size, "objects": image_objects, "among_objects": among_objects})
        note = Annotation("coco", (str(path),), content=content, empty_is_normal=True)
        yield Listed(path, (name,), note, subset=subset, by_last_part=True)


def _turned(item: Mapping[str, Any]) -> dict[str, object]:
    """The angle that CVAT and Datumaro write beside the upright `bbox` of a turned box."""
    attributes = item.get("attributes")
    angle = attributes.get("rotation") if isinstance(attributes, Mapping) else None
    outlined = bool(item.get("segmentation")) or not isinstance(angle, int | float) or isinstance(angle, bool)
    return {} if outlined or not angle else {"rotation": angle}


def _cornered(item: Mapping[str, Any]) -> dict[str, object]:
    """Whether the `area` of a box without a mask is that of corners x0, y0, x1, y1, as COCO has none."""
    box, area = item.get("bbox"), item.get("area")
    numbers = [*box, area] if isinstance(box, list) and len(box) == 4 and not item.get("segmentation") else []
    if not numbers or not all(isinstance(one, int | float) and abs(one) < 1e9 for one in numbers):
        return {}
    x, y, third, fourth, area = numbers
    sides, corners = third * fourth, (third - x) * (fourth - y)
    near = AREA_ROUNDING * max(area, 0)
    alike = third > x and fourth > y and abs(area - corners) <= near < abs(area - sides)
    return {"cornered": True} if alike else {}


def _ignored(item: Mapping[str, Any]) -> dict[str, object]:
    """The mark that converters of VOC's `difficult` write."""
    value = item.get("ignore")
    return {"ignore": value if isinstance(value, int | str) else True} if value else {}


def _by_id(document: Mapping[str, Any], part: str, where: str) -> dict[object, dict[str, Any]]:
    rows: dict[object, dict[str, Any]] = {}
    for row in document[part]:
        key = _key(row.get("id"))
        if key is None or key in rows:
            raise UserError(
                f"{where}: {part} has the id {str(row.get('id'))[:40]} twice or not at all; correct it."
            )
        rows[key] = row
    return rows


def _nests(value: object, depth: int) -> bool:
    """Whether lists and objects lie in each other no deeper than this."""
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_nests(part, depth - 1) for part in inner)
    return True


def _key(value: object) -> object:
    """An id that can be looked up: a whole number, also as `7.0`, `"7"` or `"7.0"`, or text; else None."""
    if isinstance(value, str):
        written = NUMBER.fullmatch(value.strip())
        return int(written[1]) if written else value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
