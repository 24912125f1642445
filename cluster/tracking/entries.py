"""Keys, params and tags brought within what MLflow accepts; beyond its limits it raises."""

import hashlib
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


MARK = re.compile(r" [0-9a-f]{8}$")  # ends a name that is not as it was given


def key(name: str) -> str:
    """A name that MLflow takes; two names never become one.

    A name it takes stays as it is. Another becomes the nearest one with eight digits of its own SHA-256:
    `crack (A)` and `crack [A]` would both be `crack _A_`.
    """
    cleaned = posixpath.normpath(re.sub(r"[^\w\-./ :]", "_", name)).strip("/")
    if cleaned in ("", ".") or cleaned.startswith(".."):
        cleaned = f"_{cleaned}"
    if cleaned == name and len(name) <= MAX_KEY and not MARK.search(name):
        return name
    mark = f" {hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return f"{cleaned[: MAX_KEY - len(mark)]}{mark}"


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
