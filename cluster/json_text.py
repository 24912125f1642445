"""JSON that every reader accepts: NaN and infinities, which JSON lacks, become null."""

import json
import math
from collections.abc import Mapping
from typing import Any


def strict(content: Any) -> Any:
    """The same content with None for every NaN and infinity, and plain lists and numbers for numpy's.

    Args:
        content: nested mappings, sequences and scalars; anything else is kept.
    """
    if isinstance(content, float):  # numpy's float64 too
        return float(content) if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {str(key): strict(value) for key, value in content.items()}
    if isinstance(content, list | tuple | set | frozenset):
        return [strict(value) for value in content]
    if hasattr(content, "tolist"):  # numpy and torch, without importing either
        return strict(content.tolist())
    return content


def dumps(content: Any, indent: int | None = None) -> str:
    """JSON text of `strict(content)`; paths, dates and other objects as their `str`."""
    return json.dumps(strict(content), indent=indent, default=str, allow_nan=False)
