"""Which images are a category's normal references: the files, folders and globs that the config names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from operator import or_
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.category_names import find_category
from pipelines.images import IMAGE_SUFFIXES
from pipelines.layouts.base import Entry, image_files

WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Candidates:
    """Images that may serve as the references of one category.

    Attributes:
        paths: as the listing names them.
        most: how many are kept, by content hash; None keeps all.
    """

    paths: tuple[str, ...] = ()
    most: int | None = None

    @property
    def available(self) -> int:
        """References there will be, if all can be read and no two are the same."""
        return len(self.paths) if self.most is None else min(len(self.paths), self.most)


@dataclass(frozen=True)
class ConfiguredReferences:
    """`corpus.references`, looked up.

    Attributes:
        candidates: by category of the corpus, for the categories that the config names.
        outside: entries of images that are not below the root; their path is a full path or URI.
        files: (bytes, modified in ns) of those, by path.
    """

    candidates: dict[str, Candidates]
    outside: list[Entry]
    files: dict[str, tuple[int, int]]


def look_up(
    given: Mapping[str, tuple[str, ...]], root: Storage, entries: Iterable[Entry], most: int
) -> ConfiguredReferences:
    """Find the images that `corpus.references` names.

    An item is, in this order: an image by its path below the root; a folder below it; a glob (`*`, `?`, `[…]`
    within a path's part, `**` for any number of parts); or the full path or URI of an image or folder
    elsewhere. Of a category named image by image all are kept; of folders and globs the first `most` by hash.

    Args:
        given: items by category, the category's name written in any way that has the same key.
        root: of the corpus.
        entries: of the corpus.
        most: `corpus.reference_count`.

    Raises:
        UserError: an unknown category, an item without an image of the category.
    """
    listed = list(entries)
    categories = {entry.category for entry in listed}
    found = ConfiguredReferences({}, [], {})
    for name, items in given.items():
        category = find_category(name, categories, "corpus.references")
        if category is None:
            raise UserError(
                f'corpus.references names the category "{name}", which {root.uri} does not have; '
                f"it has: {', '.join(sorted(categories)[:20])}."
            )
        if category in found.candidates:
            raise UserError(
                f'corpus.references has several entries for the category "{category}"; keep one of them.'
            )
        own = [entry.path for entry in listed if entry.category == category]
        paths: dict[str, None] = {}
        single = True
        for item in items:
            inside = _below(item, root)
            matches = _outside(category, item, found) if inside is None else _inside(inside, own)
            if not matches:
                raise UserError(
                    f'corpus.references.{name} names "{item}", which is no image, folder or glob with images '
                    f"of that category below {root.uri}; give paths relative to it, or the full path of a "
                    "folder elsewhere."
                )
            single = single and matches in ([inside], [item])
            paths.update(dict.fromkeys(matches))
        found.candidates[category] = Candidates(tuple(paths), None if single else most)
    return found


def _below(item: str, root: Storage) -> str | None:
    """The item relative to the root; None when it lies elsewhere."""
    if "://" not in item and not item.startswith(("/", "~")):
        return str(PurePosixPath(item))
    target = Storage.open(item)
    same = target.filesystem.equals(root.filesystem)
    return target.path.removeprefix(f"{root.path}/") if same and _is_below(target.path, root.path) else None


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _inside(item: str, own: list[str]) -> list[str]:
    """Paths of the category that the item names."""
    if item in own:
        return [item]
    folder = [path for path in own if _is_below(path, item)]
    if folder or not WILDCARDS & set(item):
        return folder
    return [path for path in own if glob_matches(path, item)]


def glob_matches(path: str, pattern: str) -> bool:
    """Whether a relative path fits a glob, case-sensitively.

    `*`, `?` and `[…]` stay within a part of the path; a part `**` stands for any number of parts.
    """
    # reachable[i]: the parts of the pattern so far fit the first i parts of the path.
    parts = path.split("/")
    reachable = [True, *[False] * len(parts)]
    for piece in pattern.split("/"):
        if piece == "**":
            reachable = list(accumulate(reachable, or_))
        else:
            fits = [reachable[index] and fnmatchcase(part, piece) for index, part in enumerate(parts)]
            reachable = [False, *fits]
    return reachable[-1]


def _outside(category: str, item: str, found: ConfiguredReferences) -> list[str]:
    """List an image or a folder elsewhere as images of the category; returns their full paths."""
    target = Storage.open(item)
    where = f"corpus.references.{category}: {item}"
    try:
        info = target.filesystem.get_file_info(target.path)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"{where} can't be read ({reason}); give a folder or image that can.") from None
    if info.type == pafs.FileType.File and PurePosixPath(target.path).suffix.lower() in IMAGE_SUFFIXES:
        files = {target.uri: (int(info.size), int(info.mtime_ns or 0))}
    elif info.type == pafs.FileType.Directory:
        try:
            files = {f"{target.uri}/{name}": about for name, about in image_files(target).items()}
        except UserError:
            raise UserError(f"{where} can't be read or holds no image; put normal images there.") from None
    else:
        raise UserError(f"{where} is neither an image nor a folder; give one that is.")
    taken = {entry.path: entry.category for entry in found.outside}
    for path, about in files.items():
        if taken.get(path, category) != category:
            raise UserError(f'{where} is named for the category "{taken[path]}" too; name it for one.')
        if path not in taken:
            found.outside.append(Entry(path, category, normal=True))
            found.files[path] = about
    return list(files)
