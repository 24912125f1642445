"""Which images are a category's normal references: the files, folders and globs that the config names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from operator import or_
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.category_names import find_category
from pipelines.corpus.places import flags, places_in
from pipelines.images import IMAGE_SUFFIXES
from pipelines.layouts import Entry, list_tree

WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class ReferenceCandidates:
    """Images that may serve as the references of one category.

    Attributes:
        uris: the images' paths or URIs, an array of text.
        most: number of images kept, by content hash; None keeps all.
        named: whether the config names them; others must be found normal when they are inspected.
    """

    uris: pa.Array
    most: int | None = None
    named: bool = False

    @property
    def available(self) -> int:
        """Number of references, if all can be read and used and no two are the same."""
        return len(self.uris) if self.most is None else min(len(self.uris), self.most)


@dataclass(frozen=True)
class NamedReferences:
    """The images that the config names for one category of a source.

    Attributes:
        paths: the entries' paths.
        single: whether each image is named by itself, not by a folder or glob.
    """

    paths: tuple[str, ...]
    single: bool


@dataclass(frozen=True)
class ConfiguredReferences:
    """A source's `references`, looked up.

    Attributes:
        named: references of each category that the config names.
        outside: entries of images that are not below the root; their path is a full path or URI.
        files: (bytes, modified in ns) of the images in `outside`, by path.
    """

    named: dict[str, NamedReferences]
    outside: list[Entry]
    files: dict[str, tuple[int, int]]


def look_up(
    items_by_category: Mapping[str, tuple[str, ...]], key: str, root: Storage, entries: Iterable[Entry]
) -> ConfiguredReferences:
    """Find the images that a source's `references` name.

    An item is the first of these that fits: an image by its path below the root; a folder below it; a glob
    (`*`, `?`, `[…]` within a path's part, `**` for any number of parts); or the full path or URI of an image
    or folder elsewhere.

    Args:
        items_by_category: paths, folders and globs by category; names are compared by `category_key`.
        key: dotted path of the config, for messages, e.g. `corpus.references`.
        root: the source's folder.
        entries: the source's images, gone through several times; those with a fault don't count.

    Raises:
        UserError: an unknown category, an item without an image of the category.
    """
    configured = ConfiguredReferences({}, [], {})
    categories = {entry.category for entry in entries if entry.fault is None} if items_by_category else set()
    for name, items in items_by_category.items():
        category = find_category(name, categories, key)
        if category is None:
            raise UserError(
                f'{key} names the category "{name}", which {root.uri} does not have; '
                f"it has: {', '.join(sorted(categories)[:20])}."
            )
        if category in configured.named:
            raise UserError(f'{key} has several entries for the category "{category}"; keep one of them.')
        category_paths = [
            entry.path for entry in entries if entry.category == category and entry.fault is None
        ]
        paths: dict[str, None] = {}
        single = True
        for item in items:
            inside = _below(item, root)
            matches = (
                _outside(f"{key}.{name}", category, item, configured)
                if inside is None
                else _inside(inside, category_paths)
            )
            if not matches:
                raise UserError(
                    f'{key}.{name} names "{item}", which is no image, folder or glob with images '
                    f"of that category below {root.uri}; give paths relative to it, or the full path of a "
                    "folder elsewhere."
                )
            single = single and len(matches) == 1 and matches[0].endswith(PurePosixPath(item).name)
            paths.update(dict.fromkeys(matches))
        configured.named[category] = NamedReferences(tuple(paths), single)
    return configured


def chosen_references(images: pa.Table, candidates: Mapping[str, ReferenceCandidates]) -> set[str]:
    """The ids of the references of all categories.

    Args:
        images: usable ones: `uri`, `image_id`, `normal`.
        candidates: by category.
    """
    asked = [some for some in candidates.values() if len(some.uris)]
    if not asked:
        return set()
    places = places_in(images["uri"], pa.concat_arrays([some.uris for some in asked]))
    normal, chosen, start = flags(images["normal"]), set[str](), 0
    for some in asked:
        own = places[start : start + len(some.uris)]
        start += len(some.uris)
        own = own[own >= 0]
        ids = pc.unique(images["image_id"].take(pa.array(own if some.named else own[normal[own]])))
        chosen.update(ids.take(pc.sort_indices(ids)).slice(0, some.most).to_pylist())
    return chosen


def _below(item: str, root: Storage) -> str | None:
    """The item relative to the root; None when it lies elsewhere."""
    if "://" not in item and not item.startswith(("/", "~")):
        return str(PurePosixPath(item))
    target = Storage.open(item)
    same = target.filesystem.equals(root.filesystem)
    return target.path.removeprefix(f"{root.path}/") if same and _is_below(target.path, root.path) else None


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _inside(item: str, paths: list[str]) -> list[str]:
    """Paths of the category that the item names."""
    if item in paths:
        return [item]
    folder = [path for path in paths if _is_below(path, item)]
    if folder or not WILDCARDS & set(item):
        return folder
    return [path for path in paths if glob_matches(path, item)]


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


def _outside(key: str, category: str, item: str, configured: ConfiguredReferences) -> list[str]:
    """Add an image or a folder outside the root to the category; returns the full paths."""
    target = Storage.open(item)
    where = f"{key}: {item}"
    try:
        info = target.filesystem.get_file_info(target.path)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"{where} can't be read ({reason}); give a folder or image that can.") from None
    if info.type == pafs.FileType.File and PurePosixPath(target.path).suffix.lower() in IMAGE_SUFFIXES:
        folder = Storage(target.filesystem, target.path.rpartition("/")[0])
        files = {folder.uri_of(info.base_name): (int(info.size), int(info.mtime_ns or 0))}
    elif info.type == pafs.FileType.Directory:
        try:
            tree = list_tree(item, key)
            files = {tree.uri(path): tree.files[path] for path in tree.images}
        except UserError:
            raise UserError(f"{where} can't be read or holds no image; put normal images there.") from None
    else:
        raise UserError(f"{where} is neither an image nor a folder; give one that is.")
    categories = {entry.path: entry.category for entry in configured.outside}
    for path, about in files.items():
        if categories.get(path, category) != category:
            raise UserError(f'{where} is named for the category "{categories[path]}" too; name it for one.')
        if path not in categories:
            configured.outside.append(Entry(path, category, normal=True))
            configured.files[path] = about
    return list(files)
