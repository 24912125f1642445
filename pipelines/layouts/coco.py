"""`coco`: COCO detection JSON, boxes with or without polygons or run lengths.

JSON files of any name and folder that hold `images`, `annotations` and `categories`; where some are named
    annotations/*.json, *coco*.json or instances*.json, those alone
images where their `file_name` says, relative to the root, to the JSON file, or to a folder whose name is in
    the JSON file's (`train2017` for `instances_train2017.json`); else the only file of that path's end. A
    name that leads out of the root (`../`, `/data/upload/4/`, a URL) means the only file of its last part.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
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
from pipelines.layouts.base import SURFACE, Entry, LostLabel, annotated, doubt_of, layout
from pipelines.layouts.listed_images import objects_in, read_json_document
from pipelines.layouts.outline import LIST
from pipelines.layouts.tree import SAMPLES, Tree

PARTS = ("images", "annotations", "categories")
NUMBER = re.compile(r"(0|-?[1-9]\d{0,17})(?:\.0+)?", re.ASCII)  # not 007, which is a name
ELSEWHERE = re.compile(r"[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.-]*://")  # a drive, a URL
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
    is not below the root is a fault, wherever its name leads.

    Raises:
        UserError: no JSON of this form, a key twice, ids that are missing or used twice, an image
            listed twice.
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
    finder = _Finder(tree)
    listed: dict[str, Entry] = {}
    for path in files:
        document = _read(tree, path)
        if document is None:
            tree.tables.discard(path)  # it is passed over
            continue
        for entry in _entries(tree, path, document, finder):
            if isinstance(entry, LostLabel):
                yield entry
                continue
            if entry.path in listed:
                raise UserError(
                    f"{tree.uri(path)} lists {entry.path[:200]} a second time; list every image once."
                )
            listed[entry.path] = replace(entry, category=category)
    if not listed:
        raise UserError(
            f"{tree.root.uri} holds no COCO file that lists images ({', '.join(PARTS)}); set another layout."
        )
    yield from listed.values()
    for image in tree.images:
        if str(image) not in listed:
            yield Entry(str(image), category)


def _read(tree: Tree, path: PurePosixPath) -> Mapping[str, Any] | None:
    """The document, or None where it is JSON of another kind."""
    document = read_json_document(tree, path)
    if not isinstance(document, dict) or not all(part in document for part in PARTS):
        return None
    for part in PARTS:
        objects_in(document[part], part, tree.uri(path))
    return document


def _entries(
    tree: Tree, path: PurePosixPath, document: Mapping[str, Any], finder: "_Finder"
) -> Iterable[Entry | LostLabel]:
    where = tree.uri(path)
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
            objects[image].append({**fields, **number, **tagged, "label": names.get(kind)})
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
        file, fault = finder.find(name, path)
        if file is None:
            yield Entry(name, SURFACE, fault=f"{where} lists it, but {fault}")
            continue
        if doubt is not None and not objects[number]:
            yield Entry(file, SURFACE, doubt=doubt)
            continue
        size = [record["width"], record["height"]] if "width" in record and "height" in record else None
        image_objects = objects[number]
        content = json.dumps({"size": size, "objects": image_objects, "among_objects": among_objects})
        yield annotated(
            file, SURFACE, Annotation("coco", (str(path),), content=content, empty_is_normal=True)
        )


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


class _Finder:
    """Which file below the root an image's `file_name` means; names are looked up, never opened."""

    def __init__(self, tree: Tree) -> None:
        self.known, self.by_name = tree.image_names, tree.images_by_name

    def find(self, name: str, table: PurePosixPath) -> tuple[str | None, str]:
        """The file's path, or None and the reason."""
        wanted = PurePosixPath(name.replace("\\", "/"))
        same = self.by_name.get(wanted.name, [])
        if wanted.is_absolute() or ".." in wanted.parts or ELSEWHERE.match(name):
            # Where a labelling tool kept the image. Its place is never opened, its name alone counts.
            if len(same) == 1:
                return str(same[0]), ""
            several = ", ".join(str(path) for path in same[:3])
            how = f"several below it have that name: {several}" if same else "no image below it has that name"
            return None, f"its name leads out of the folder, and {how}"
        for candidate in (str(wanted), str(table.parent / wanted)):
            if candidate in self.known:
                return candidate, ""
        ends = [path for path in same if path.parts[-len(wanted.parts) :] == wanted.parts]
        if len(ends) > 1:
            ends = [path for path in ends if path.parts[-len(wanted.parts) - 1] in table.stem]
        if len(ends) == 1:
            return str(ends[0]), ""
        return None, "several may be meant" if same else "no such image is below the folder"
