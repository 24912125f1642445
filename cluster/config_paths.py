"""Paths of a config: made absolute where the config is read, so that they hold in every process."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator

FOLDER = "folder"  # key of the validation context: what relative paths start at


class Located(str):
    """An absolute path, or a URI as it was written.

    Attributes:
        written: the path as the config has it. Fingerprints and records hold this one: the same config
            finds its artifacts again, wherever it was read.
    """

    written: str

    def __new__(cls, path: str, written: str | None = None) -> "Located":
        """A string of `path`, that remembers how it was written."""
        located = super().__new__(cls, path)
        located.written = path if written is None else written
        return located


def locate_from(folder: str | None, written: str) -> Located:
    """A config's path, absolute.

    Args:
        folder: where relative paths start; None takes the working directory.
        written: a path, `~` for a home; URIs and the empty text stay as they are.

    Raises:
        ValueError: a NUL character, a home that no one has, a working directory that is gone.
    """
    if "\0" in written:
        raise ValueError("a path can't hold a NUL character")
    if not written or "://" in written:
        return Located(written)
    try:
        path = Path(written).expanduser()
    except RuntimeError:
        raise ValueError("there is no such home folder; write the full path") from None
    if not path.is_absolute():
        try:
            path = Path(folder or Path.cwd(), path)
        except FileNotFoundError:
            raise ValueError(
                "the folder that this command runs in is gone; run it from another, or write the full path"
            ) from None
    return Located(str(path), written)


def folder_of(info: ValidationInfo) -> str | None:
    """Where the relative paths of a config that is being validated start, see `cluster.config.validate`."""
    folder: str | None = (info.context or {}).get(FOLDER)
    return folder


def as_written(path: str) -> str:
    """The path as the config has it."""
    return path.written if isinstance(path, Located) else path


def location_if(is_path: Callable[[str, Path], bool]) -> Any:
    """What makes a string field a path where it is one, and a name elsewhere, for use in `Annotated`.

    Args:
        is_path: function of the text and of the path that it would be; whether it is one.
    """

    def validated(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> str:
        text: str = handler(value)
        if isinstance(value, Located):
            return value  # from another config, which may have been read elsewhere
        located = locate_from(folder_of(info), text)
        return located if is_path(text, Path(located)) else text

    return WrapValidator(validated)


WRITTEN = PlainSerializer(as_written, return_type=str, when_used="json")
Location = Annotated[str, location_if(lambda text, path: True), WRITTEN]
