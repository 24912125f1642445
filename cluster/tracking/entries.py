"""Keys, params and tags brought within what MLflow accepts; beyond its limits it raises."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from cluster import json_text

MAX_KEY, MAX_PARAM, MAX_TAG = 250, 6000, 5000
ALIAS = re.compile(r"(?!(?i:v?\d+|latest)$)[A-Za-z0-9_-]{1,255}")  # MLflow keeps `latest` and `v1` for itself
ENTRIES_PER_BATCH, METRICS_PER_BATCH = 100, 1000

Logged = TypeVar("Logged")


def key(name: str) -> str:
    """The nearest name MLflow takes: `mAP@0.5` becomes `mAP_0.5`."""
    cleaned = posixpath.normpath(re.sub(r"[^\w\-./ :]", "_", name)).strip("/")
    return (cleaned if cleaned not in ("", ".") and not cleaned.startswith("..") else f"_{cleaned}")[:MAX_KEY]


def clip(text: str, limit: int) -> str:
    """The text, cut with an ellipsis where it is longer than `limit`."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def tags(entries: Mapping[str, Any]) -> dict[str, str]:
    """Tags with keys and values MLflow takes."""
    return {key(name): clip(str(value), MAX_TAG) for name, value in entries.items()}


def params(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested config as flat params: `{"loop": {"epochs": 3}}` is `{"loop.epochs": "3"}`; lists as JSON."""
    flat: dict[str, str] = {}
    for name, value in config.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            flat |= params(value, f"{dotted}.")
        else:
            text = value if isinstance(value, str) else json_text.dumps(value)
            flat[key(dotted)] = clip(text, MAX_PARAM)
    return flat


def batches(entries: Iterable[Logged], size: int = ENTRIES_PER_BATCH) -> Iterator[list[Logged]]:
    """The entries in lists of at most `size`."""
    iterator = iter(entries)
    while batch := list(islice(iterator, size)):
        yield batch
