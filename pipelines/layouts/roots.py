"""The first look at a source's folder, without a library that could read it."""

from pathlib import Path

from cluster.errors import UserError


def unusable_root(uri: str, reason: str, key: str) -> UserError:
    """The error of a folder that can't be listed; `key` is the dotted path of the config that names it."""
    return UserError(f"The image folder {uri} {reason}; set {key} to a folder of images.")


def refuse_missing_root(root: str, key: str) -> None:
    """Refuse a local path where nothing lies; URIs are for who lists them.

    Raises:
        UserError: there is nothing.
    """
    if root and "://" not in root and not Path(root).exists():
        raise unusable_root(root, "does not exist", key)
