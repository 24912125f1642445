"""`python -m benchmarks`: a user's fault is a sentence and 2, whenever it is found."""

from pathlib import Path

import pytest

from benchmarks.__main__ import main


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["real_surface"]) == 2
    assert "real_surfaces" in capsys.readouterr().err


def test_settings_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGSSP_BENCH_SETTINGS", str(tmp_path / "absent.yaml"))
    assert main(["real_surfaces"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "absent.yaml" in line
