"""A workspace that fills up or goes away amid a stage: one sentence, exit 2, and the same command goes on."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from cluster.cli.command import run_command
from cluster.stages import Workbench
from cluster.stages.stage import ensure
from tests.tiny_disk import tiny_disk
from training.opening import open_run
from training.project import Project

Lay = Callable[[Path], Path]
RESUME = "then run the same command again: it goes on where it stopped"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with tiny_disk(tmp_path / "disk", 3) as place:
        yield place


def command(workspace: Path, body: Callable[[Workbench], Mapping[str, Any]]) -> int:
    """The exit code of a command whose one stage has this body, with MLflow in the workspace."""
    project = Project(workspace=str(workspace))

    def run() -> Mapping[str, Any]:
        with open_run(project, "test") as site:
            return ensure("maps", site=site, config={}, inputs={}, body=body).results

    try:
        run_command(run, json_mode=False)
    except typer.Exit as end:
        return end.exit_code
    return 0


def said(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    """The command's last line; nothing of a traceback is in what it and the libraries printed."""
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out + caplog.text
    lines = captured.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("maps: started")
    sentence, _, log = lines[1].partition(" The errors in full: ")
    assert "Traceback" in Path(log).read_text()
    Path(log).unlink()
    return sentence


def test_a_disk_that_fills_up(
    disk: Path, tracked: Lay, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    workspace = tracked(disk / "w")

    def body(bench: Workbench) -> Mapping[str, Any]:
        if not bench.directory.exists("half"):
            bench.directory.write("half", b"x")
            bench.directory.write("whole", bytes(4 << 20))
        return {"found": bench.directory.read("half").decode()}

    (disk / "ballast").write_bytes(bytes(1 << 20))
    assert command(workspace, body) == 2
    assert said(capsys, caplog) == f"No space is left on the disk of {workspace}; free some, {RESUME}."
    (disk / "ballast").unlink()
    assert command(workspace, body) == 0
    assert "found" in capsys.readouterr().out


@pytest.mark.parametrize("amid", ["stage", "tracking"])
def test_a_disk_that_only_mlflow_finds_full(
    disk: Path, tracked: Lay, amid: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    workspace = tracked(disk / "w")

    def body(bench: Workbench) -> Mapping[str, Any]:
        rest = shutil.disk_usage(disk).free
        (disk / "ballast").write_bytes(bytes(rest))
        if amid == "tracking":
            for step in range(200):
                bench.run.log_metrics({f"figure_{step}_{n}": 1.0 for n in range(100)}, step=step)
        return {}

    assert command(workspace, body) == 2
    assert said(capsys, caplog).startswith(f"No space is left on the disk of {workspace}")


@pytest.mark.parametrize("again", [False, True])
def test_a_workspace_that_is_removed(
    tmp_path: Path,
    tracked: Lay,
    again: bool,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    workspace = tracked(tmp_path / "w")

    def body(bench: Workbench) -> Mapping[str, Any]:
        bench.directory.write("half", b"x")
        shutil.rmtree(workspace)
        if again:
            bench.directory.write("other half", b"y")
        return {}

    assert command(workspace, body) == 2
    assert said(capsys, caplog).startswith(f"{workspace} was removed, moved away or unmounted")
    assert not list(tmp_path.rglob("stage.json"))


def test_a_stage_whose_directory_is_removed_is_not_called_complete(
    tmp_path: Path, tracked: Lay, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    workspace, directories = tracked(tmp_path / "w"), list[str]()

    def body(bench: Workbench) -> Mapping[str, Any]:
        directories.append(bench.directory.path)
        bench.directory.write("half", b"x")
        if len(directories) == 1:
            shutil.rmtree(bench.directory.path)
            bench.directory.write("other half", b"y")
        return {"half": bench.directory.exists("half")}

    assert command(workspace, body) == 2
    sentence = said(capsys, caplog)
    assert sentence.startswith(
        f"{directories[0]} was removed while the command ran; run the same command again"
    )
    assert not list(tmp_path.rglob("stage.json"))
    assert command(workspace, body) == 0
    assert directories[0] == directories[1]
    assert (Path(directories[1]) / "half").exists()
