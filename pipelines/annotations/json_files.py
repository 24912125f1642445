"""Annotations in JSON, read with a limit; what is not there or of another kind is a fault."""

import json
from collections.abc import Mapping
from typing import Any

from pipelines.annotations.base import AnnotationError, mapping
from pipelines.images import ImageError, read_bytes

MAX_JSON = 64 << 20  # bytes of one image's annotation; LabelMe may hold the image itself


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
        return mapping(json.loads(data), "it")
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
