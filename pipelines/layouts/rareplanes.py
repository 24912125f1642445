"""`rareplanes`: RarePlanes (Shermeyer et al.), aircraft in satellite images, COCO JSON with polygons.

    [real|synthetic/](train|test)/PS-RGB_tiled/*.png, …/images/*.png
    [real|synthetic/]metadata_annotations/instances_(train|test)_aircraft.json, or
        RarePlanes_(Train|Test)_Coco_Annotations_tiled.json

The same folder lists the images again by an aircraft's role, engines, wings, …: those files are not read.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.layouts.base import Entry, LostLabel, layout
from pipelines.layouts.coco import entries_of
from pipelines.layouts.tree import Tree

FOLDER = "metadata_annotations"
CATEGORY = "aircraft"


def _is_table(path: PurePosixPath) -> bool:
    name = path.name.lower()
    wanted = name.endswith(("_aircraft.json", "_coco_annotations_tiled.json"))
    return path.parts[-2:-1] == (FOLDER,) and wanted


@layout(fits=lambda tree: any(_is_table(path) for path in tree.ending(".json")))
def rareplanes(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category, `aircraft`; images that no file lists are unlabelled.

    Raises:
        UserError: see `coco`.
    """
    tables = [path for path in tree.ending(".json") if _is_table(path)]
    yield from entries_of(tree, tables, CATEGORY)
