"""The command's start: what is not asked for is not imported."""

import subprocess
import sys

import pytest

from agssp import LATER


def test_the_roof_itself_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys, agssp, cluster.model_commands\n"
        "print({'torch', 'ray', 'mlflow', 'ultralytics', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", LATER)
def test_what_is_imported_later_is_found_by_its_name(name: str) -> None:
    import typer

    from agssp import app

    root = typer.main.get_command(app)
    with root.make_context("agssp", ["doctor"], resilient_parsing=True) as context:
        assert name in root.list_commands(context)  # type: ignore[attr-defined]
        assert root.get_command(context, name).name == name  # type: ignore[attr-defined]
