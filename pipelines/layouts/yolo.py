"""`yolo`: YOLO boxes and polygons, a text file an image.

    …/images/**/NAME.jpg with …/labels/**/NAME.txt, or NAME.txt beside the image
    data.yaml (or another YAML file with `names`, a list or a mapping from number) or classes.txt: class names
        as they are written there, so that `no` is not False

Without names a class is called by its number. Where the file of the names has `kpt_shape` (how many key
points, and values of each), a line of that length is a box and its key points, which are passed over.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from cluster.errors import UserError
from cluster.yaml_files import MAX_CONFIG_BYTES, parse_yaml
from pipelines.annotations import Annotation, AnnotationError, checked_label
from pipelines.layouts.base import SURFACE, Entry, annotated, layout
from pipelines.layouts.tree import Tree

IMAGES, LABELS, CLASSES = "images", "labels", "classes.txt"
SHAPE, KEYPOINTS = "kpt_shape", re.compile(r"[1-9]\d{0,3}", re.ASCII)


def _text_of(tree: Tree, image: PurePosixPath) -> PurePosixPath | None:
    """The annotation of an image; the last folder `images` becomes `labels`, as ultralytics has it."""
    parts = list(image.parts)
    if IMAGES in parts[:-1]:
        last = max(place for place, part in enumerate(parts[:-1]) if part == IMAGES)
        mirrored = PurePosixPath(*parts[:last], LABELS, *parts[last + 1 :]).with_suffix(".txt")
        if mirrored in tree.files:
            return mirrored
    beside = image.with_suffix(".txt")
    return beside if beside in tree.files and beside.name != CLASSES else None


@layout(fits=lambda tree: any(_text_of(tree, image) is not None for image in tree.images))
def yolo(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another.

    An image with an empty text file is normal, one without a file unlabelled. A file below `labels` without
    an image, or with several, is a fault.

    Raises:
        UserError: class names can't be read, or two files differ on them.
    """
    documents = {
        tree.uri(path): parse_yaml(_text(tree, path), tree.uri(path), as_written=True)
        for path in tree.files
        if path.suffix.lower() in {".yaml", ".yml"} and len(path.parts) <= 2
    }
    names, keypoints = _names(tree, documents), _keypoints(documents)
    content = json.dumps(names) if names is not None else ""
    if keypoints:
        content = json.dumps({"names": names, "keypoints": keypoints})
    shared: dict[PurePosixPath, list[PurePosixPath]] = {
        path: [] for path in tree.ending(".txt") if LABELS in path.parts[:-1] and path.name != CLASSES
    }
    for image in tree.images:
        path = _text_of(tree, image)
        if path is None:
            yield Entry(str(image), SURFACE)
        else:
            shared.setdefault(path, []).append(image)
    for path, images in shared.items():
        if len(images) == 1:
            annotation = Annotation("yolo", (str(path),), content=content, empty_is_normal=True)
            yield annotated(images[0], SURFACE, annotation)
        elif images:
            several = ", ".join(str(image) for image in images[:3])
            yield Entry(str(path), SURFACE, fault=f"it would be the annotation of several images: {several}")
        else:
            yield Entry(str(path), SURFACE, fault="it is the annotation of no image here")


def _names(tree: Tree, documents: Mapping[str, Mapping[str, object]]) -> list[str] | None:
    names_by_file: dict[str, list[str]] = {}
    for path in tree.files:
        where = tree.uri(path)
        if "names" in documents.get(where, {}):
            names_by_file[where] = _listed(documents[where]["names"], where)
        elif path.name == CLASSES:
            names_by_file[where] = _listed(_text(tree, path).splitlines(), where)
    if not names_by_file:
        return None
    first, *others = names_by_file
    for other in others:
        if names_by_file[other] != names_by_file[first]:
            raise UserError(f"{first} and {other} name different classes; keep one of them.")
    return names_by_file[first]


def _keypoints(documents: Mapping[str, Mapping[str, object]]) -> int:
    """How many numbers of key points follow each box; 0 without."""
    counts = {
        where: _count(document[SHAPE], where)
        for where, document in documents.items()
        if {"names", SHAPE} <= document.keys()
    }
    if len(set(counts.values())) > 1:
        raise UserError(f"{' and '.join(list(counts)[:2])} differ in {SHAPE}; keep one of them.")
    return max(counts.values(), default=0)


def _count(shape: object, where: str) -> int:
    sides = shape if isinstance(shape, list) else []
    if len(sides) != 2 or not all(isinstance(side, str) and KEYPOINTS.fullmatch(side) for side in sides):
        raise UserError(
            f"{where}: {SHAPE} must be the number of key points and that of the values of each; correct it."
        )
    return int(sides[0]) * int(sides[1])


def _text(tree: Tree, path: PurePosixPath) -> str:
    try:
        return tree.read(path, MAX_CONFIG_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{tree.uri(path)} is no UTF-8 text; correct it.") from None


def _listed(names: object, where: str) -> list[str]:
    """Class names in the order of their numbers."""
    if isinstance(names, dict):
        numbers = {str(number) for number in names}
        if numbers != {str(number) for number in range(len(names))}:
            raise UserError(f"{where}: names must number the classes from 0 without a gap; correct it.")
        names = [name for _, name in sorted(names.items(), key=lambda item: int(item[0]))]
    if not isinstance(names, list):
        raise UserError(f"{where}: names must be a list, or a mapping from number to name; correct it.")
    try:
        return [checked_label(name) for name in names]
    except AnnotationError as error:
        raise UserError(f"{where}: {error}; correct it.") from None
