"""`supervisely`: a project of Supervisely.

    […/]DATASET/img/NAME.jpg with […/]DATASET/ann/NAME.jpg.json

Supervisely writes an annotation for every image, whether somebody has looked at it or not, so one without
objects says nothing: the image stays unlabelled (and counts among the empty masks).
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import SURFACE, Entry, annotated, layout
from pipelines.layouts.tree import SAMPLES, Tree

IMAGES, NOTES = "img", "ann"
META = "meta.json"  # the project's classes; names stand in every annotation


def _notes(tree: Tree) -> list[PurePosixPath]:
    return [path for path in tree.ending(".json") if path.parent.name == NOTES]


def _fits(tree: Tree) -> bool:
    return any({("objects",), ("size",)} <= tree.json_keys(path) for path in _notes(tree)[:SAMPLES])


@layout(_fits)
def supervisely(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another; an annotation without an image is a fault."""
    tree.tables.update(path for path in tree.ending(".json") if path.name == META)
    notes = {path.with_suffix("").as_posix(): path for path in _notes(tree)}
    for image in tree.images:
        home = image.parent.parent / NOTES if image.parent.name == IMAGES else None
        path = notes.pop(str(home / image.name), None) if home is not None else None
        if path is not None:
            yield annotated(image, SURFACE, Annotation("supervisely", (str(path),)))
        else:
            yield Entry(str(image), SURFACE)
    for path in notes.values():
        yield Entry(str(path), SURFACE, fault="it is the annotation of no image here")
