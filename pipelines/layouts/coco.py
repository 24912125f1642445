"""`coco`: COCO detection JSON, boxes with or without polygons or run lengths.

annotations/*.json, *coco*.json or instances*.json, in any folder, if they hold `images`, `annotations` and
    `categories`
images where their `file_name` says, relative to the root, to the JSON file, or to a folder whose name is in
    the JSON file's (`train2017` for `instances_train2017.json`); else the only file of that path's end
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from cluster.errors import UserError
from pipelines.annotations import Annotation, AnnotationError, checked_label, has_single_objects, is_tagged
from pipelines.layouts.base import SURFACE, Entry, annotated, layout
from pipelines.layouts.tree import Tree

PARTS = ("images", "annotations", "categories")
DEPTHS = {"id": 0, "iscrowd": 0, "bbox": 1, "segmentation": 2}  # lists in lists that each part may have


def _is_named_so(path: PurePosixPath) -> bool:
    name = path.name.lower()
    return (
        path.parts[-2:-1] == ("annotations",)
        or "coco" in name
        or name.startswith(("instances", "annotations"))
    )


@layout(fits=lambda tree: any(_is_named_so(path) for path in tree.ending(".json")))
def coco(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another; COCO's categories are the defect classes.

    An image that a file lists without annotation is normal; one that no file lists is unlabelled. A listed
    image that is not below the root is a fault, wherever its name leads; so are annotations of images that
    are not listed.

    Raises:
        UserError: no JSON of this form, ids that are missing or used twice, an image listed twice.
    """
    files = [path for path in tree.ending(".json") if _is_named_so(path)] or tree.ending(".json")
    yield from entries_of(tree, files, SURFACE)


def entries_of(tree: Tree, files: Iterable[PurePosixPath], category: str) -> Iterable[Entry]:
    """The images that these files list, then the others, unlabelled; see `coco`.

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
            continue
        for entry in _entries(tree, path, document, finder):
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
    try:
        document = json.loads(tree.read(path))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{tree.uri(path)} is no JSON ({reason[:200]}); correct or remove it.") from None
    if not isinstance(document, dict) or not all(part in document for part in PARTS):
        return None
    for part in PARTS:
        rows = document[part]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{tree.uri(path)}: {part} must be a list of objects; correct it.")
    return document


def _entries(
    tree: Tree, path: PurePosixPath, document: Mapping[str, Any], finder: "_Finder"
) -> Iterable[Entry]:
    where = tree.uri(path)
    images, categories = _by_id(document, "images", where), _by_id(document, "categories", where)
    names = {}
    for number, category in categories.items():
        try:
            names[number] = checked_label(category.get("name"))
        except AnnotationError as error:
            raise UserError(f"{where}: the category {number}: {error}; correct it.") from None
    objects: dict[object, list[dict[str, Any]]] = defaultdict(list)
    homeless: list[str] = []
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
            homeless.append(str(item.get("id"))[:20])
    if homeless:
        several = ", ".join(homeless[:3]) + (", …" if len(homeless) > 3 else "")
        yield Entry(str(path), SURFACE, fault=f"annotations of images it does not list: {several}")
    for number, record in images.items():
        name = record.get("file_name")
        if not isinstance(name, str) or not name or len(name) > 1000 or not name.isprintable():
            raise UserError(f"{where}: image {str(number)[:20]} has no file_name; correct it.")
        file, fault = finder.find(name, path)
        if file is None:
            yield Entry(name, SURFACE, fault=f"{where} lists it, but {fault}")
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
    """An id that can be looked up: a whole number or text; None for anything else."""
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


class _Finder:
    """Which file below the root an image's `file_name` means; names are looked up, never opened."""

    def __init__(self, tree: Tree) -> None:
        self.known = {str(path) for path in tree.images}
        self.by_name: dict[str, list[PurePosixPath]] = defaultdict(list)
        for path in tree.images:
            self.by_name[path.name].append(path)

    def find(self, name: str, table: PurePosixPath) -> tuple[str | None, str]:
        """The file's path, or None and the reason."""
        wanted = PurePosixPath(name.replace("\\", "/"))
        if wanted.is_absolute() or ".." in wanted.parts:
            return None, "its name leads out of the folder"
        for candidate in (str(wanted), str(table.parent / wanted)):
            if candidate in self.known:
                return candidate, ""
        ends = [
            path for path in self.by_name[wanted.name] if path.parts[-len(wanted.parts) :] == wanted.parts
        ]
        if len(ends) > 1:
            ends = [path for path in ends if path.parts[-len(wanted.parts) - 1] in table.stem]
        if len(ends) == 1:
            return str(ends[0]), ""
        return None, "no such image is below the folder" if not self.by_name[
            wanted.name
        ] else "several may be meant"
