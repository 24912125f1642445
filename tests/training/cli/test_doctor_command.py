"""`agssp doctor` as typed: its exit code, and what it says of weights."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agssp import app


@pytest.mark.parametrize("mode", ["people", "programs"])
def test_the_command_exits_2_when_something_must_be_fixed(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["doctor", f"workspace={tmp_path}"]
    if mode == "programs":
        _probes(monkeypatch, ("encoder", False, "gone; copy it."))
        broken = CliRunner().invoke(app, [*words, "--json"])
        assert broken.exit_code == 2
        assert json.loads(broken.stdout.splitlines()[-1])["ok"] is False
    else:
        _probes(monkeypatch, ("encoder", True, "[in] place"))
        people = CliRunner().invoke(app, words)
        assert "weights encoder" in people.stdout
        assert "[in] place" in people.stdout


def _probes(monkeypatch: pytest.MonkeyPatch, probe: tuple[str, bool, str]) -> None:
    monkeypatch.setattr("training.cli.weight_probes.weight_probes", lambda project: [probe])
