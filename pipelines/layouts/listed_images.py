"""Images that a table of many images names: looked up below the root, never opened elsewhere."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Any

from cluster.errors import UserError
from pipelines.annotations import Annotation, parse_json
from pipelines.layouts.base import SURFACE, Entry, annotated, normal
from pipelines.layouts.split_names import split_of_folder
from pipelines.layouts.tree import Tree

MAX_NAME = 1000
ELSEWHERE = re.compile(
    r"^(?:[A-Za-z]:)?/|^[A-Za-z][A-Za-z0-9+.-]*://|(?:^|/)\.\.(?:/|$)"
)  # a name of another machine
LEADS_OUT = "its name leads out of the folder"
DEEP = 64  # lists and objects in each other that a table may have


@dataclass(frozen=True)
class Listed:
    """One image as a table lists it.

    Attributes:
        table: the table's file.
        names: what the image may be called, the likeliest first; parts of a path with `/` or `\\`.
        annotation: where its truth is written; None where the table says nothing of it.
        normal: whether the table says that the image has no defect.
        fault: why its annotation can't be used.
        places: paths where it lies as a rule, from the table or the root; elsewhere its names are looked for.
        doubt: why it is left unlabelled though the table lists nothing for it.
        subset: the split that the table states for it.
        by_last_part: whether of a name of another machine the last part alone counts, not its folders: two
            images of one name are a fault then.
    """

    table: PurePosixPath
    names: tuple[str, ...]
    annotation: Annotation | None = None
    normal: bool = False
    fault: str | None = None
    places: tuple[str, ...] = ()
    doubt: str | None = None
    subset: str | None = None
    by_last_part: bool = False


def listed_entries(tree: Tree, listed: Iterable[Listed]) -> Iterator[Entry]:
    """The images that tables list, then all others, unlabelled.

    An image that is not there or could be several is a fault; so is one that is listed twice, unless alike.
    """
    finder = ListedImages(tree)
    by_image: dict[str, list[Listed]] = defaultdict(list)
    for one in listed:
        file, reason = finder.find(one)
        if file is None:
            path = one.names[0].replace("\\", "/").lstrip("/")[:MAX_NAME]
            yield Entry(path, SURFACE, fault=f"{tree.uri(one.table)} lists it, but {reason}")
        else:
            by_image[file].append(one)
    yield from found_entries(tree, by_image)


def found_entries(
    tree: Tree, by_image: Mapping[str, Sequence[Listed]], category: str = SURFACE
) -> Iterator[Entry]:
    """The images by what tables say of them, then all others, unlabelled.

    Args:
        tree: all files.
        by_image: path → its places in tables; one that is listed twice is a fault, unless alike.
        category: object category of every image.
    """
    for file, several in by_image.items():
        splits = frozenset(split for each in several if (split := split_of_folder(each.subset or "")))
        yield replace(_entry(tree, file, several, category), published=splits)
    for image in tree.images:
        if str(image) not in by_image:
            yield Entry(str(image), category)


def _entry(tree: Tree, file: str, several: Sequence[Listed], category: str) -> Entry:
    one = several[0]
    if any(_says(other) != _says(one) for other in several[1:]):
        tables = ", ".join(sorted({tree.uri(other.table) for other in several})[:3])
        return Entry(file, category, fault=f"{tables} lists it {len(several)} times, and not alike")
    if one.fault is not None:
        return Entry(file, category, fault=f"{tree.uri(one.table)}: {one.fault}")
    if one.annotation is not None:
        return annotated(file, category, one.annotation)
    if one.normal:
        return normal(file, category)
    return Entry(file, category, doubt=one.doubt)


def _says(one: Listed) -> tuple[object, ...]:
    """What a table says of an image, wherever it is written."""
    note = one.annotation
    return (note and (note.format, note.content), one.normal, one.fault, one.doubt)


def read_json_document(tree: Tree, path: PurePosixPath) -> Any:
    """A JSON file, whatever it holds.

    Raises:
        UserError: no JSON, a key twice.
    """
    try:
        return parse_json(tree.read(path))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{tree.uri(path)} is no JSON ({reason[:200]}); correct or remove it.") from None


def read_json_table(tree: Tree, path: PurePosixPath) -> Any:
    """A JSON file of many images.

    Raises:
        UserError: no JSON, a key twice, or nested deeper than any label.
    """
    document = read_json_document(tree, path)
    if _deeper(document, DEEP):
        raise UserError(f"{tree.uri(path)} nests more than {DEEP} deep; correct or remove it.")
    return document


def objects_in(rows: object, what: str, where: str) -> list[Mapping[str, Any]]:
    """A list of JSON objects.

    Raises:
        UserError: something else; `what` names it, `where` the file.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{where}: {what} must be a list of objects; correct it.")
    return rows


def image_name(value: object, what: str, where: str) -> str:
    """A file's name.

    Raises:
        UserError: no text, empty, too long, or with control characters; `what` names the image.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or not value.isprintable():
        raise UserError(f"{where}: {what} has no file name; correct it.")
    return value


def _deeper(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return depth == 0 or any(
        _deeper(one, depth - 1) for one in (value.values() if isinstance(value, dict) else value)
    )


def _is_named_in(folders: tuple[str, ...], table: PurePosixPath) -> bool:
    """Whether the last of these folders is in the table's name; of one or two letters as a word alone."""
    folder = folders[-1] if folders else ""
    words = re.split(r"[^A-Za-z0-9]+", table.stem)
    return folder in words or (len(folder) > 2 and folder in table.stem)


class ListedImages:
    """Which file below the root a name means."""

    def __init__(self, tree: Tree) -> None:
        self.tree, self.by_name = tree, tree.images_by_name

    def find(self, listed: Listed) -> tuple[str | None, str]:
        """The file's path, or None and the reason."""
        wanted_names = [name.replace("\\", "/") for name in listed.names]
        reason = "no such image is below the folder"
        if ELSEWHERE.search(wanted_names[0]):
            reason = f"no such image is here: {LEADS_OUT}, and no image below it has that name"
        for place in (*listed.places, *wanted_names):
            for home in (listed.table.parent, PurePosixPath()):
                path = normpath(str(home / place))  # an absolute one is never known
                if self.tree.is_image(path):
                    return path, ""
        for wanted in wanted_names:
            parts = tuple(part for part in PurePosixPath(wanted).parts if part not in {"/", "..", "."})
            # A path of another machine says little of the folders here: its last parts that are here count.
            shortest = 1 if ELSEWHERE.search(wanted) else len(parts)
            longest = shortest if listed.by_last_part else len(parts)
            for length in range(longest, shortest - 1, -1):
                ends = self._ending(parts[len(parts) - length :])
                if len(ends) > 1:
                    ends = [end for end in ends if end.is_relative_to(listed.table.parent)] or ends
                if len(ends) > 1:  # train2017 of instances_train2017.json
                    ends = [end for end in ends if _is_named_in(end.parts[:-length], listed.table)] or ends
                if len(ends) == 1:
                    return str(ends[0]), ""
                if ends:
                    names = ", ".join(map(str, ends[:3]))
                    reason = f"several may be meant: {names}"
                    if ELSEWHERE.search(wanted):
                        reason = f"{LEADS_OUT}, and several below it have that name: {names}"
                    break
        return None, reason

    def _ending(self, parts: tuple[str, ...]) -> list[PurePosixPath]:
        if not parts:
            return []
        return [path for path in self.by_name.get(parts[-1], []) if path.parts[-len(parts) :] == parts]
