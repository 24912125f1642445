"""Images by their address: only below the folders that the operator allows."""

import re
from collections.abc import Sequence
from pathlib import Path

from pipelines.images import ImageError, read_bytes

LONGEST = 2048  # characters of an address
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# In a URI these begin a query, a fragment, an escape or (for some readers) a folder.
ODD = re.compile(r"[?#%\\]")


class ForbiddenError(Exception):
    """An address that is not below any allowed folder."""


def read_allowed(uri: str, roots: Sequence[str], limit: int) -> bytes:
    """The bytes of an image below one of the roots.

    Args:
        uri: a path or URI as a client wrote it.
        roots: the allowed folders, local absolute paths or URIs.
        limit: most bytes.

    Raises:
        ForbiddenError: it lies elsewhere, be it by `..` or by a link.
        ImageError: see `read_bytes`.
    """
    return read_bytes(_place(uri, roots), limit)


def _place(uri: str, roots: Sequence[str]) -> str:
    if len(uri) > LONGEST or CONTROL.search(uri):
        raise ForbiddenError("an address is one line of at most 2,048 characters")
    for root in roots:
        prefix = f"{root.rstrip('/')}/"
        if not uri.startswith(prefix):
            continue
        rest = uri.removeprefix(prefix)
        if {"", ".", ".."} & set(rest.split("/")):
            break
        if "://" in root:
            if ODD.search(rest):
                break
            return uri
        try:
            real = Path(uri).resolve()
            if not real.is_relative_to(Path(root).resolve()):
                break
        except (OSError, RuntimeError):  # a circle of links
            raise ImageError("file can't be read: its links lead nowhere") from None
        return str(real)
    raise ForbiddenError("it is not below a folder of serve.roots")
