"""The rival's process: what is told when it isn't there or fails, and that it phones nobody."""

import shutil
from pathlib import Path

import pytest

from benchmarks.real_surfaces.lightly import ask_child, environment, lightly_python
from benchmarks.real_surfaces.settings import LIGHTLY
from cluster.errors import UserError


def test_no_rival_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIGHTLY, raising=False)
    assert lightly_python() is None


def test_a_python_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(LIGHTLY, str(tmp_path / "python"))
    with pytest.raises(UserError, match="is no program; make rivals"):
        lightly_python()


def test_a_python_without_the_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIGHTLY, str(shutil.which("false")))
    with pytest.raises(UserError, match="has no lightly-train; make rivals"):
        lightly_python()


def test_telemetry_is_off_and_our_modules_stay_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("LIGHTLY_TRAIN_EVENTS_DISABLED", "0")
    found = environment(tmp_path)
    assert found["LIGHTLY_TRAIN_EVENTS_DISABLED"] == "1"
    assert found["LIGHTLY_TRAIN_CACHE_DIR"] == str(tmp_path)
    assert "PYTHONPATH" not in found


def test_a_failure_is_told_with_its_output(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no memory left\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3:.*no memory left"):
        ask_child(str(python), {"images": "here"}, tmp_path)
