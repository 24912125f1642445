"""Splits that list images by name: Pascal VOC's image sets and VisA's tables."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from cluster.errors import UserError
from pipelines.layouts.split_names import TEST, TRAIN, VAL, split_of_folder
from pipelines.layouts.tree import Tree

IMAGE_SETS = ("imagesets", "main")
SETS = {"train": TRAIN, "val": VAL, "test": TEST}
BOTH = "trainval"
VISA_TABLE = PurePosixPath("split_csv/1cls.csv")
SHOWN = 100  # characters of a name in a message


@dataclass
class NamedSplits:
    """Images by the splits that name them.

    Attributes:
        splits: path below the root → its splits, `train`, `val`, `test`.
        missing: for each list that names images that are not there a sentence.
    """

    splits: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    missing: list[str] = field(default_factory=list)

    def add_list(self, where: str, images: Mapping[str, Sequence[str]], split: str) -> None:
        """Take up the images of one list.

        Args:
            where: the list's URI.
            images: each name that it holds → the paths of that image; none where it is not there.
            split: the list's split.

        Raises:
            UserError: none of the named images is there.
        """
        gone = [name for name, paths in images.items() if not paths]
        first = ascii(gone[0][:SHOWN]) if gone else ""
        if gone and len(gone) == len(images):
            raise UserError(f"{where} names no image that is below the folder (first: {first}); correct it.")
        if gone:
            self.missing.append(f"{where} names images that are not there: {len(gone)} (first: {first})")
        for paths in images.values():
            for path in paths:
                self.splits[path].add(split)


def lines_of(tree: Tree, path: PurePosixPath) -> list[str]:
    """The lines of a list that are not blank, without space around them.

    Raises:
        UserError: unreadable, no UTF-8.
    """
    try:
        text = tree.read(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{tree.uri(path)} is no UTF-8 text; correct it.") from None
    return [stripped for line in text.splitlines() if (stripped := line.strip())]


def voc_split(tree: Tree) -> NamedSplits | None:
    """What `ImageSets/Main/{train,val,trainval,test}.txt` state; None where there is none of these files.

    A name is an image's without suffix, in any folder beside `ImageSets`. `trainval.txt` is `train` but for
    what another list names `val`.

    Raises:
        UserError: see `NamedSplits.add_list` and `lines_of`.
    """
    homes: dict[PurePosixPath, dict[str, PurePosixPath]] = defaultdict(dict)
    for path in tree.ending(".txt"):
        inside = tuple(part.lower() for part in path.parts[-3:-1]) == IMAGE_SETS
        if inside and path.stem.lower() in {*SETS, BOTH}:
            homes[path.parents[2]][path.stem.lower()] = path
    named = NamedSplits()
    for home, lists in homes.items():
        by_name: dict[str, list[str]] = defaultdict(list)
        for image in tree.images:
            if image.is_relative_to(home):
                for name in (image.stem, image.name):
                    by_name[name].append(str(image))
        listed = {name: _images(lines_of(tree, path), by_name) for name, path in lists.items()}
        for name, split in SETS.items():
            if name in lists and listed[name]:
                named.add_list(tree.uri(lists[name]), listed[name], split)
        if listed.get(BOTH):
            own = {line: paths for line, paths in listed[BOTH].items() if line not in listed.get("val", {})}
            if own:
                named.add_list(tree.uri(lists[BOTH]), own, TRAIN)
    return named if named.splits else None


def _images(lines: Sequence[str], by_name: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Each name → its images; a line may have a class's mark (1, 0, -1) behind the name."""
    images = {}
    for line in lines:
        name, _, mark = line.rpartition(" ")
        whole = name.strip() if line not in by_name and mark in {"1", "0", "-1"} else line
        place = whole.replace("\\", "/").removeprefix("./")
        last = place.rpartition("/")[2]
        # A name with folders means the image at that place, one without any of its name.
        ends = f"/{place}"
        images[whole] = [
            path
            for path in by_name.get(last, ())
            if last == place or f"/{path}".endswith(ends) or f"/{path}".rpartition(".")[0].endswith(ends)
        ]
    return images


def visa_split(tree: Tree) -> NamedSplits | None:
    """What VisA's `split_csv/1cls.csv` states (columns `split` and `image`); None without that file.

    Raises:
        UserError: no such columns, another split, or see `NamedSplits.add_list`.
    """
    if VISA_TABLE not in tree.files:
        return None
    where = tree.uri(VISA_TABLE)
    images: dict[str, dict[str, list[str]]] = defaultdict(dict)
    try:
        for row in csv.DictReader(lines_of(tree, VISA_TABLE), strict=True):
            name, split = row.get("image"), split_of_folder(row.get("split") or "")
            if not name or split is None:
                raise UserError(
                    f"{where} has a row without image and split ({str(row)[:SHOWN]}); correct it."
                )
            images[split][name] = [name] if tree.is_image(name) else []
    except csv.Error as error:
        raise UserError(f"{where} is no CSV table ({error}); correct it.") from None
    named = NamedSplits()
    for split, listed in images.items():
        named.add_list(where, listed, split)
    return named if named.splits else None
