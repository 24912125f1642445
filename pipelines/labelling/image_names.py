"""Names of images relative to the folder that holds them all, local or in an object store."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from cluster.errors import UserError

Place = tuple[str, ...]  # the scheme, empty for a local path, then the path's parts


def place_of(uri: str) -> Place:
    """Where a file or folder is, part by part.

    Raises:
        UserError: a part that a path below a folder can't have.
    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        scheme, path = "", str(Path(uri).absolute())
    else:  # `Storage.uri_of` quotes all but fsspec's
        path = rest if scheme.startswith("fsspec+") else unquote(rest)
    parts = PurePosixPath(path.lstrip("/")).parts
    if ".." in parts:
        raise UserError(f"{uri} has a name that leads out of its folder; rename it.")
    return (scheme, *parts)


class ImageNames:
    """Names below the deepest folder that holds all images and all roots.

    Args:
        roots: folders that the images were listed below; names begin there where all images lie below one.
        uris: the images.

    Attributes:
        depth: parts of a place that are left out of the names.
        folder: the folder that names are relative to, as text.
    """

    def __init__(self, roots: Iterable[str], uris: Iterable[str]) -> None:
        shared: Place | None = None
        for folder in [*map(place_of, roots), *{place_of(uri)[:-1] for uri in uris}]:
            shared = folder if shared is None else _shared(shared, folder)
        scheme, *parts = shared or ("",)
        self.depth = len(shared or ())
        self.folder = f"{scheme}://{'/'.join(parts)}" if scheme else f"/{'/'.join(parts)}"

    def name(self, uri: str) -> str:
        """An image's path below the folder, with `/`."""
        return "/".join(part for part in place_of(uri)[self.depth :] if part)


def _shared(one: Place, other: Place) -> Place:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]
