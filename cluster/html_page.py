"""How the project's HTML pages are made of their templates and pictures."""

from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page_environment(folder: Path) -> Environment:
    """Templates of a folder; all text is escaped, and a name that is not given is an error."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def jpeg_uri(encoded: bytes) -> str:
    """A JPEG file's content as a data URI, so that the page needs no file beside it."""
    return f"data:image/jpeg;base64,{b64encode(encoded).decode('ascii')}"
