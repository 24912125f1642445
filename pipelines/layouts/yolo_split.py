"""The split that YOLO's `data.yaml` states: folders and lists of images, looked up below the root alone.

    path: .                       the folder of the others, from the YAML file
    train: images/train           a folder, a text file that lists images, or a list of these
    val: [images/val, more.txt]   also called `valid` or `validation`
    test:                         nothing

Roboflow writes `../train/images` for the folder `train/images` beside the YAML file; a path of another
machine (`/content/ds/images/val`) means the folder here that ends as it does.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from posixpath import join, normpath

from cluster.errors import UserError
from cluster.yaml_files import MAX_CONFIG_BYTES, parse_yaml
from pipelines.layouts.listed_images import ELSEWHERE, MAX_NAME, Listed, ListedImages
from pipelines.layouts.split_lists import NamedSplits, lines_of
from pipelines.layouts.split_names import TEST, TRAIN, VAL, split_of_folder
from pipelines.layouts.tree import Tree

KEYS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST}
NOTHING = ("", "null", "~", "Null", "NULL")


def yolo_split(tree: Tree) -> NamedSplits | None:
    """The splits that the YAML file names; None where no file states any.

    Raises:
        UserError: a value that is no path, a place that is not below the root, a list without an image of it,
            or two files that differ.
    """
    stated: dict[str, NamedSplits] = {}
    for path in tree.files:
        if path.suffix.lower() in {".yaml", ".yml"} and len(path.parts) <= 2:
            where = tree.uri(path)
            document = parse_yaml(_text(tree, path), where, as_written=True)
            # Other YAML files, of a training's settings, have keys of these names too.
            if {"names", "nc"} & document.keys() and KEYS.keys() & document.keys():
                stated[where] = _Reader(tree, path, document).read()
    first, *others = stated or [""]
    for other in others:
        if stated[other].splits != stated[first].splits:
            raise UserError(f"{first} and {other} state different splits; keep one of them.")
    return stated[first] if stated and stated[first].splits else None


def _text(tree: Tree, path: PurePosixPath) -> str:
    try:
        return tree.read(path, MAX_CONFIG_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{tree.uri(path)} is no UTF-8 text; correct it.") from None


class _Reader:
    def __init__(self, tree: Tree, path: PurePosixPath, document: dict[str, object]) -> None:
        self.tree, self.path, self.document, self.where = tree, path, document, tree.uri(path)
        self.folders = {folder for image in tree.images for folder in image.parents}
        self.images = ListedImages(tree)

    def read(self) -> NamedSplits:
        base = self.document.get("path", "")
        if not isinstance(base, str):
            raise UserError(f"{self.where}: path must be a folder; correct it.")
        home = "" if base in NOTHING else base.replace("\\", "/")
        folders: dict[PurePosixPath, set[str]] = defaultdict(set)
        named = NamedSplits()
        for key in KEYS.keys() & self.document.keys():
            for value in self._values(key):
                place = next((one for one in self._places(home, value) if self._is_there(one)), None)
                if place is None:
                    raise UserError(
                        f'{self.where}: {key} names "{value[:200]}", but neither a folder of images nor a '
                        f"list (.txt) below {self.tree.root.uri} is called so; correct or remove it."
                    )
                if place in self.folders:
                    folders[place].add(KEYS[key])
                else:
                    self._add_list(named, place, home, KEYS[key])
        for image in self.tree.images:
            for folder in folders.keys() & set(image.parents):
                named.splits[str(image)] |= folders[folder]
        return named

    def _values(self, key: str) -> Sequence[str]:
        value = self.document[key]
        values = value if isinstance(value, list) else [value]
        paths = [one for one in values if isinstance(one, str) and len(one) <= MAX_NAME and one.isprintable()]
        if len(paths) < len(values):
            raise UserError(
                f"{self.where}: {key} must be a folder, a text file or a list of these; correct it."
            )
        return [one for one in paths if one not in NOTHING]

    def _is_there(self, place: PurePosixPath) -> bool:
        return place in self.folders or (place.suffix.lower() == ".txt" and place in self.tree.files)

    def _places(self, home: str, value: str) -> Iterator[PurePosixPath]:
        """Where a value may lie below the root, the likeliest first; it is never opened elsewhere."""
        beside = str(self.path.parent)
        full = normpath(join(home, value.replace("\\", "/")))
        for one in (full, value.replace("\\", "/")):
            place = PurePosixPath(normpath(join(beside, one)))
            if not place.is_absolute() and ".." not in place.parts:
                yield place
        if not ELSEWHERE.search(full):
            return
        parts = [part for part in PurePosixPath(full).parts if part not in {"/", ".."}]
        absolute = full.startswith("/") or ":" in full
        for length in range(len(parts), 0 if absolute else len(parts) - 1, -1):
            ending = parts[len(parts) - length :]
            # The last folder alone is `images` as a rule, which may be that of any split.
            if not absolute or len(ending) > 1 or split_of_folder(ending[0]) or ending[0].endswith(".txt"):
                for start in dict.fromkeys((self.path.parent, PurePosixPath())):
                    yield start.joinpath(*ending)

    def _add_list(self, named: NamedSplits, path: PurePosixPath, home: str, split: str) -> None:
        images = {}
        for line in lines_of(self.tree, path):
            places = (join(str(self.path.parent), home, line), line)
            image, _ = self.images.find(Listed(path, (line,), places=places))
            images[line] = [image] if image else []
        named.add_list(self.tree.uri(path), images, split)
