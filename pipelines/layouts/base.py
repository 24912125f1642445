"""The contract of a dataset layout, and the registry of layouts by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from cluster.errors import UserError, nearest
from cluster.storage import Storage
from pipelines.images import IMAGE_SUFFIXES

NORMAL_NAMES = frozenset({"good", "normal", "ok", "free", "references"})
MASK_SUFFIX = "_mask"


@dataclass(frozen=True)
class Entry:
    """One image of a source, before anything of it was read.

    Attributes:
        path: relative to the source's root, with `/`.
        category: object category.
        normal: whether the layout says that the image is free of defects (a candidate reference).
        label: defect class, where the layout has one.
        mask: relative path of the pixel mask, where there is one.
        labelled: whether the image's truth is known (by mask, or because it is normal).
    """

    path: str
    category: str
    normal: bool = False
    label: str | None = None
    mask: str | None = None
    labelled: bool = False


@dataclass(frozen=True)
class Layout:
    """A named reading of a folder.

    Attributes:
        fits: whether the relative paths look like this layout.
        read: turns the relative paths into entries.
    """

    name: str
    fits: Callable[[list[PurePosixPath]], bool]
    read: Callable[[list[PurePosixPath]], Iterable[Entry]]


LAYOUTS: dict[str, Layout] = {}


def layout(
    fits: Callable[[list[PurePosixPath]], bool],
) -> Callable[
    [Callable[[list[PurePosixPath]], Iterable[Entry]]], Callable[[list[PurePosixPath]], Iterable[Entry]]
]:
    """Register a reader under its function's name; `auto` tries the last registered first."""

    def register(
        read: Callable[[list[PurePosixPath]], Iterable[Entry]],
    ) -> Callable[[list[PurePosixPath]], Iterable[Entry]]:
        LAYOUTS[read.__name__] = Layout(read.__name__, fits, read)
        return read

    return register


def is_normal(name: str) -> bool:
    """Whether a folder of that name holds normal images."""
    return name.lower() in NORMAL_NAMES


def image_files(root: Storage) -> dict[str, tuple[int, int]]:
    """Relative path → (bytes, modified in ns) of every image file below a root, sorted, hidden ones left out.

    Raises:
        UserError: the folder is missing, unreadable or holds no image file.
    """
    try:
        infos = root.filesystem.get_file_info(pafs.FileSelector(root.path, recursive=True))
    except (OSError, pa.ArrowException) as error:
        missing = isinstance(error, FileNotFoundError)
        reason = (
            "does not exist" if missing else f"can't be read ({getattr(error, 'strerror', None) or error})"
        )
        raise UserError(
            f"The image folder {root.uri} {reason}; set corpus.root to a folder of images."
        ) from None
    found = {}
    for info in infos:
        path = PurePosixPath(info.path).relative_to(root.path)
        hidden = any(part.startswith(".") for part in path.parts)
        if info.type == pafs.FileType.File and path.suffix.lower() in IMAGE_SUFFIXES and not hidden:
            found[str(path)] = (int(info.size), int(info.mtime_ns or 0))
    if not found:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise UserError(
            f"The image folder {root.uri} holds no image ({kinds}); set corpus.root to one that does."
        )
    return dict(sorted(found.items()))


def find_layout(name: str, paths: list[PurePosixPath]) -> Layout:
    """The layout of that name, or for `auto` the most specific one that fits the paths.

    Raises:
        UserError: no layout has that name.
    """
    if name != "auto":
        if name not in LAYOUTS:
            raise UserError(f'There is no dataset layout "{name}"; {nearest(name, LAYOUTS)}')
        return LAYOUTS[name]
    return next(layout for layout in reversed(LAYOUTS.values()) if layout.fits(paths))
