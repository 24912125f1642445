"""Whether the files behind a version are what the registry says, where they are at hand."""

import hashlib
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

LOCAL = "file://"


def local_path(uri: str) -> Path:
    """The path of a `file://` URI."""
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(uri).path))


def are_sound(source: str, digests: Mapping[str, str]) -> bool:
    """Whether every file is there with its digest; files elsewhere than on this machine are not looked at.

    Args:
        source: URI of the folder of a version's files.
        digests: sha256 (hex) by file name.
    """
    return not source.startswith(LOCAL) or all(
        _digest(local_path(source) / name) == digest for name, digest in digests.items()
    )


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # gone, or not to be read: no sound file
        return None
