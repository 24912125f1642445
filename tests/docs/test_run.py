"""The guide's commands and snippets are run as they are written, in one folder, as on a laptop."""

import re
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agssp import app
from cluster.config import merge
from cluster.yaml_files import parse_yaml
from tests.docs.blocks import PAGES, Block, blocks, commands
from tests.repository import ROOT

TUTORIAL = ROOT / "docs/tutorial.md"
# All that differs from the tutorial as it is written: one epoch of everything, small images, one start.
SMALL: dict[str, Any] = {
    "backbone": {"image_size": 64, "loop": {"epochs": 1}},
    "detector": {"image_size": 64, "loop": {"epochs": 1}},
    "finetune": {"image_size": 64, "starts": ["agssp"], "loop": {"epochs": 1, "eval_every": 1}},
    "scaling": {"gpu": False},
    "report": {"gallery": 2, "examples": 1},
}


def run_page(page: Path) -> int:
    """Run what a page shows, in order, in the current folder; the number of blocks."""
    space: dict[str, Any] = {"__name__": "__main__"}  # of all its snippets, as in a notebook
    shown = [block for block in blocks(page) if block.marker != "not run"]
    for block in shown:
        if block.language == "python":
            exec(compile(block.text, block.where, "exec"), space)
        elif block.language == "sh":
            for words in commands(block.text):
                run_command(block, words)
        elif block.language == "yaml":
            write_config(page, block)
    return len(shown)


def run_command(block: Block, words: list[str]) -> None:
    """Run one line of a shell block; only commands of agssp may be among those that are run."""
    assert words[0] == "agssp", f"{block.where}: say why it is not run"
    # After one epoch the detector may find nothing, which promote refuses.
    forced = ["--force"] if words[1:3] == ["models", "promote"] else []
    done = CliRunner().invoke(app, [*words[1:], *forced])
    expected = 2 if block.marker == "fails" else 0
    assert done.exit_code == expected, f"{block.where}: {' '.join(words)}\n{done.output}\n{done.exception!r}"
    if expected:
        assert done.stderr.strip()


def write_config(page: Path, block: Block) -> None:
    """Write a config under the name in its first line; other pages' project.yaml show parts of one."""
    (name,) = re.findall(r"\A# (\S+)", block.text)
    if page == TUTORIAL:
        Path(name).write_text(yaml.safe_dump(merge(parse_yaml(block.text, block.where), SMALL)))
    elif name != "project.yaml":
        Path(name).write_text(block.text)


@pytest.fixture(scope="module")
def after_the_tutorial(tracked: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a reader of the tutorial has at its end."""
    folder = tmp_path_factory.mktemp("guide")
    tracked(folder / "runs/my-line")
    with chdir(folder):
        assert run_page(TUTORIAL) > 8
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != TUTORIAL], ids=lambda page: str(page.relative_to(ROOT))
)
def test_page(page: Path, after_the_tutorial: Path) -> None:
    with chdir(after_the_tutorial):
        run_page(page)


@pytest.mark.slow
def test_notebook_and_commands_share_their_artifacts(after_the_tutorial: Path) -> None:
    """What the commands made is what the functions find."""
    import agssp

    with chdir(after_the_tutorial):
        made = [agssp.build_corpus("project.yaml"), agssp.pretrain_detector("project.yaml")]
        made += [agssp.finetune("project.yaml"), agssp.evaluate("project.yaml")]
        assert all(artifact.reused for artifact in made)
        maps = agssp.make_maps("project.yaml").directory.read_table("maps").to_pylist()[:3]
        corpus = agssp.build_corpus("project.yaml").directory.read_table("manifest").to_pylist()
        references = [row["uri"] for row in corpus if row["role"] == "reference"]
        here = agssp.anomaly_maps([row["uri"] for row in maps], "rail", references=references)
        for row, found in zip(maps, here, strict=True):
            assert found.score == pytest.approx(row["score"], abs=1e-5)
