"""The recipes that lie in this folder, and what each is for."""

from importlib import resources
from itertools import takewhile
from typing import Any

from cluster.yaml_files import parse_yaml


def recipes() -> dict[str, dict[str, Any]]:
    """The shipped recipes by name, e.g. `demo`, `magnetic-tile`."""
    folder = resources.files("cluster.recipes")
    by_name: dict[str, dict[str, Any]] = {}
    for entry in folder.iterdir():
        if entry.name.endswith(".yaml"):
            by_name[entry.name.removesuffix(".yaml")] = parse_yaml(entry.read_text("utf-8"), entry.name)
    return by_name


def recipe_notes() -> dict[str, str]:
    """What each shipped recipe is for: the comment that its file begins with, in one paragraph."""
    folder = resources.files("cluster.recipes")
    notes = {}
    for name in sorted(recipes()):
        lines = (folder / f"{name}.yaml").read_text("utf-8").splitlines()
        comment = takewhile(lambda line: line.startswith("#"), lines)
        notes[name] = " ".join(line.removeprefix("#").strip() for line in comment)
    return notes
