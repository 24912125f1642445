"""`datumaro`: Datumaro JSON, a file a subset.

    annotations/SUBSET.json, or JSON files of any name, with `categories` and `items`
    images/SUBSET/NAME.jpg, or wherever the only path lies that ends as the item's image

Datumaro, and CVAT's export of this form, list every image, whether somebody has looked at it or not, so an
item without shapes is unlabelled. One whose labels of the whole image all are `good`, `normal`, `ok` or
`free` is normal.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from cluster.errors import UserError
from pipelines.annotations import Annotation
from pipelines.images import IMAGE_SUFFIXES
from pipelines.layouts.base import Entry, is_normal, layout
from pipelines.layouts.listed_images import Listed, image_name, listed_entries, objects_in, read_json_table
from pipelines.layouts.outline import LIST
from pipelines.layouts.split_names import split_of_place, split_of_table
from pipelines.layouts.tree import Tree

WHOLE = ("label", "caption")  # annotations of an image, not of a place in it


def _is_subset(tree: Tree, path: PurePosixPath) -> bool:
    keys = tree.json_keys(path)
    return ("dm_format_version",) in keys or bool(
        {("categories", "label", "labels"), ("items", LIST, "annotations")} & keys
    )


@layout(fits=lambda tree: any(_is_subset(tree, path) for path in tree.samples(".json")))
def datumaro(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another.

    Raises:
        UserError: a file that has not this form.
    """
    files = [path for path in tree.ending(".json") if _is_subset(tree, path)]
    return listed_entries(tree, (one for path in files for one in _listed(tree, path)))


def _listed(tree: Tree, path: PurePosixPath) -> Iterator[Listed]:
    where, subset = tree.uri(path), split_of_table(path.stem) or split_of_place(path)
    document = read_json_table(tree, path)
    classes = _classes(document, where)
    for item in objects_in(document.get("items"), "items", where):
        name = image_name(item.get("id"), "an item without id", where)
        image = item.get("image")
        about = image if isinstance(image, dict) else {}
        rows = objects_in(item.get("annotations"), f"annotations of {name[:40]}", where)
        named = [{**row, "class": _class(row.get("label_id"), classes)} for row in rows]
        objects = [row for row in named if row.get("type") not in WHOLE]
        names = _names(name, about.get("path"), path.stem)
        if objects:
            content = json.dumps({"name": name, "size": about.get("size"), "objects": objects})
            yield Listed(path, names, Annotation("datumaro", (str(path),), content=content), subset=subset)
        else:
            said = [str(row["class"]) for row in named if row.get("type") == "label"]
            yield Listed(path, names, normal=bool(said) and all(map(is_normal, said)), subset=subset)


def _classes(document: object, where: str) -> list[Any]:
    try:
        labels = document["categories"]["label"]["labels"]  # type: ignore[index]
        return [label["name"] for label in labels]
    except (KeyError, TypeError):
        raise UserError(f"{where}: categories has no label.labels with names; correct it.") from None


def _class(number: object, classes: list[Any]) -> Any:
    known = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < len(classes)
    return classes[number] if known else None  # type: ignore[call-overload]


def _names(name: str, file: object, subset: str) -> tuple[str, ...]:
    """What the item's image may be called: its path, or where it has none its id with an image's suffix."""
    named = [file] if isinstance(file, str) and file else []
    paths = [f"{subset}/{one}" for one in named] + named
    return tuple(paths) or tuple(f"{name}{suffix}" for suffix in sorted(IMAGE_SUFFIXES))
