"""`cvat_yolo`: CVAT's export "YOLO 1.1", which darknet reads.

    obj.names                          class names, one a line
    obj_SUBSET_data/**/NAME.jpg with NAME.txt beside it; or images at a path that ends alike

CVAT writes a file for every image of a task, whether somebody has looked at it or not, so an image with an
empty file is unlabelled, other than in the layout `yolo`.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from cluster.errors import UserError
from cluster.yaml_files import MAX_CONFIG_BYTES
from pipelines.annotations import Annotation, AnnotationError, checked_label
from pipelines.layouts.base import SURFACE, Entry, annotated, layout
from pipelines.layouts.tree import Tree

NAMES = "obj.names"
FOLDER = re.compile(r"obj_(.+)_data")


def _texts(tree: Tree) -> dict[PurePosixPath, tuple[str, ...]]:
    """Label files below `obj_SUBSET_data`, with their place there, without suffix."""
    places = {}
    for path in tree.ending(".txt"):
        for depth, part in enumerate(path.parts[:-1]):
            if FOLDER.fullmatch(part):
                places[path] = path.with_suffix("").parts[depth + 1 :]
                break
    return places


@layout(fits=lambda tree: any(path.name == NAMES for path in tree.files) and bool(_texts(tree)))
def cvat_yolo(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another.

    A file without an image, or with several, is a fault.

    Raises:
        UserError: class names that can't be read, or several files of them.
    """
    content = json.dumps(_names(tree))
    texts = _texts(tree)
    # Lists of images and files without a line hold no label that could be passed over.
    subsets = {f"{part[1]}.txt" for path in texts for part in map(FOLDER.fullmatch, path.parts) if part}
    tree.tables.update(path for path in tree.ending(".txt") if path.name in subsets and path not in texts)
    tree.tables.update(path for path in texts if not tree.files[path][0])
    by_stem: dict[str, list[PurePosixPath]] = defaultdict(list)
    for image in tree.images:
        by_stem[image.stem].append(image)
    files: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for text, place in texts.items():
        images = [image for image in by_stem[place[-1]] if image.with_suffix("") == text.with_suffix("")]
        if not images:
            ends = [
                image for image in by_stem[place[-1]] if image.with_suffix("").parts[-len(place) :] == place
            ]
            images = [image for image in ends if image.with_suffix(".txt") not in tree.files]
        if len(images) == 1:
            files[images[0]].append(text)
        elif images:
            several = ", ".join(map(str, images[:3]))
            yield Entry(str(text), SURFACE, fault=f"it would be the annotation of several images: {several}")
        else:
            yield Entry(str(text), SURFACE, fault="it is the annotation of no image here")
    for image in tree.images:
        own = files.get(image, [])
        if len(own) > 1:
            yield Entry(
                str(image), SURFACE, fault=f"several files annotate it: {', '.join(map(str, own[:3]))}"
            )
        elif own and tree.files[own[0]][0] > 0:
            yield annotated(image, SURFACE, Annotation("yolo", (str(own[0]),), content=content))
        else:
            yield Entry(str(image), SURFACE)


def _names(tree: Tree) -> list[str]:
    paths = [path for path in tree.files if path.name == NAMES]
    if len(paths) > 1:
        several = " and ".join(tree.uri(path) for path in paths[:2])
        raise UserError(f"{several} both name classes; give the exports as sources of their own.")
    where = tree.uri(paths[0])
    try:
        lines = tree.read(paths[0], MAX_CONFIG_BYTES).decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{where} is no UTF-8 text; correct it.") from None
    names = []
    for number, line in enumerate(lines, start=1):
        try:
            names.append(checked_label(line))
        except AnnotationError as error:
            raise UserError(f"{where} line {number}: {error}; correct it.") from None
    return names
