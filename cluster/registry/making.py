"""How two versions were made differently: settings by dotted key, data, and code."""

from collections.abc import Iterator, Mapping
from typing import Any

DATA_STAGES = ("corpus", "labels")  # whose counts say what the data are


def made_differently(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What differs in the making of two versions; JSON-able.

    Args:
        first, second: documents from `making_of`; empty where nothing is recorded.

    Returns:
        `settings`, `data` and `code`: `first` and `second` by dotted name (None where a side has none).
        Where a side records nothing, all three are empty and `recorded` is false.
    """
    if not all(isinstance(side.get("stages"), Mapping) for side in (first, second)):
        return {"recorded": False, "settings": {}, "data": {}, "code": {}}
    return {
        "recorded": True,
        **{
            part: _differing(dict(of(first)), dict(of(second)))
            for part, of in (("settings", _settings), ("data", _data), ("code", _code))
        },
    }


def _stages(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    stages = document.get("stages")
    for name, stage in stages.items() if isinstance(stages, Mapping) else ():
        if isinstance(stage, Mapping):
            yield str(name), stage


def _settings(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, stage in _stages(document):
        yield from flat(stage.get("config"), f"{name}.")


def _data(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What stages read beside their settings, and the counts of the corpus."""
    for name, stage in _stages(document):
        yield from flat(stage.get("extra"), f"{name}.")
        results = stage.get("results")
        if name in DATA_STAGES and isinstance(results, Mapping):
            yield from ((f"{name}.{key}", value) for key, value in results.items() if type(value) is int)
        if name == "boxes" and isinstance(results, Mapping):  # thresholds by category, measured on the images
            yield from flat(results.get("thresholds"), f"{name}.chosen.")


def _code(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, stage in _stages(document):
        yield from flat(stage.get("versions"), f"{name}.")


def flat(content: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested mappings; nothing of what is no mapping."""
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        key: {"first": first.get(key), "second": second.get(key)}
        for key in sorted({*first, *second})
        if first.get(key) != second.get(key)
    }
