"""Annotations in JSON, read with a limit; what is not there or of another kind is a fault."""

import json
from collections.abc import Mapping
from typing import Any

from pipelines.annotations.base import AnnotationError, mapping
from pipelines.images import ImageError, read_bytes

MAX_JSON = 64 << 20  # bytes of one image's annotation; LabelMe may hold the image itself


def parse_json(text: bytes | str) -> Any:
    """A JSON document of labels, in which no object has a key twice: the first value would be lost.

    Two objects become one where a file loses the lines between them.

    Raises:
        ValueError: no JSON, or a key twice.
        RecursionError: nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"an object has the key {twice[:40]!r} twice")
    return values


def read_json(uri: str) -> Mapping[str, Any]:
    """The object of a JSON file.

    Raises:
        AnnotationError: missing, unreadable, no JSON object, larger than 64 MiB; the message names the file.
    """
    try:
        data = read_bytes(uri, MAX_JSON)
    except ImageError as error:
        raise AnnotationError(f"its annotation {uri}: {error}") from None
    try:
        return mapping(parse_json(data), "it")
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise AnnotationError(f"its annotation {uri}: it is no JSON ({reason[:200]})") from None
    except AnnotationError as error:
        raise AnnotationError(f"its annotation {uri}: {error}") from None


def rows_of(document: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    """A part of a document that is a list of objects.

    Raises:
        AnnotationError: it is missing, or not such a list.
    """
    rows = document.get(part)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise AnnotationError(f"its {part} is no list of objects")
    return rows
