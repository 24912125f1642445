"""The split that a data set is published with, as its layout's files or folders state it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from pipelines.layouts.base import Entry
from pipelines.layouts.split_lists import NamedSplits, visa_split, voc_split
from pipelines.layouts.split_names import split_of_folder, split_of_place, split_of_table
from pipelines.layouts.tree import Tree
from pipelines.layouts.yolo_split import yolo_split

# Layouts whose images lie in a folder of the split at a fixed place of their paths.
FOLDERS = {"mvtec": -3, "dagm": -2, "kolektor_sdd2": -2, "severstal": 0}
# Layouts of one table a split, whose name or folder tells it.
TABLES = ("coco", "rareplanes", "datumaro")
# Layouts where any folder above an image, or above its label, may be that of a split.
PLACES = frozenset(
    ("yolo", "voc", "neu_det", "mask_folders", "cvat_yolo", "cvat", "labelme", "label_studio", "via")
) | {"supervisely"}
LISTS: dict[str, Callable[[Tree], NamedSplits | None]] = {
    "yolo": yolo_split,
    "voc": voc_split,
    "visa": visa_split,
}


def stated_splits(layout: str, tree: Tree, entries: Iterable[Entry]) -> tuple[Iterator[Entry], Sequence[str]]:
    """The entries with the published splits that name them, and sentences on names of no image here.

    Lists, YAML files and what a table says of an image come before the names of tables, those before the
    names of folders.

    Args:
        layout: the layout's name.
        tree: all files.
        entries: result of the layout's reader.

    Raises:
        UserError: a file that states a split can't be read, see `yolo_split`, `voc_split` and `visa_split`.
    """
    named = LISTS[layout](tree) if layout in LISTS else None
    if named is not None:
        splits = named.splits
        listed = (replace(one, published=frozenset(splits.get(one.path, ()))) for one in entries)
        return listed, named.missing
    placed = (
        replace(one, published=one.published or frozenset(filter(None, [_place(layout, one)])))
        for one in entries
    )
    return placed, ()


def _place(layout: str, entry: Entry) -> str | None:
    path = PurePosixPath(entry.path)
    label = PurePosixPath(entry.annotation.files[0]) if entry.annotation and entry.annotation.files else None
    if layout in FOLDERS:
        place = FOLDERS[layout]
        return split_of_folder(path.parts[place]) if -len(path.parts) <= place < len(path.parts) - 1 else None
    if layout in TABLES and label is not None:
        own = split_of_table(label.stem) or split_of_place(label)
        return own or split_of_place(path)
    if layout in {*TABLES, *PLACES}:
        return split_of_place(path) or (split_of_place(label) if label is not None else None)
    return None
