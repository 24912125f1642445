"""The house stays as designed: imports run downwards; mathematics knows no Ray, no MLflow, no CLI."""

import ast
from pathlib import Path

import PIL.Image
import pytest

from tests.repository import ROOT

FLOORS = ["cluster", "pipelines", "training", "tuning", "agssp"]  # each may import itself and those before it
SOURCES = sorted(path for floor in FLOORS[:-1] for path in (ROOT / floor).rglob("*.py"))
GLUE = (
    "_stage.py",
    "_commands.py",
    "commands.py",
    "fit.py",
    "table_job.py",
    "pipeline.py",
    "project.py",
    "tuner.py",
)


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 40


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    floor = FLOORS.index(path.relative_to(ROOT).parts[0])
    above = set(FLOORS[floor + 1 :]) | {"tests", "benchmarks"}
    assert not {name for name in imported(path) if name.split(".")[0] in above}


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] != "cluster" and not path.name.endswith(GLUE)
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_mathematics_is_free_of_glue(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & {"ray", "mlflow", "typer"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 330
    assert path.stem not in {"utils", "helpers", "manager", "common", "misc"}


def test_ultralytics_has_one_door() -> None:
    users = [path for path in SOURCES if any(name.startswith("ultralytics") for name in imported(path))]
    assert [path.name for path in users] == ["ultralytics_library.py"]


def test_importing_ultralytics_leaves_pillow_alone() -> None:
    before = PIL.Image.open
    assert before.__module__ == "PIL.Image"
    import training.models.ultralytics_library  # noqa: F401

    assert PIL.Image.open.__module__ == "PIL.Image"
