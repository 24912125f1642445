"""Progress where there is no terminal: few plain lines on stderr."""

import pytest

from cluster import progress


def test_a_log_gets_a_line_at_intervals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("cluster.progress.time.monotonic", lambda: now[0])
    with progress.progress("maps", 1000) as bar:
        for _ in range(100):
            now[0] += 1.0
            bar.advance(10, f"{bar.done} seen")
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert len(lines) == 10
    assert lines[0] == "  maps: 100/1000 (10.000/s, 0:01:30 left) 90 seen"
    assert bar.done == 1000


def test_an_unknown_total_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.progress("corpus", None) as bar:
        bar.to(7)
    assert capsys.readouterr().err == "  corpus: 7\n"


def test_a_log_of_a_long_step_ends_with_how_far_it_came(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("cluster.progress.time.monotonic", lambda: now[0])
    with progress.progress("maps", 25) as bar:
        for _ in range(25):
            now[0] += 1.0
            bar.advance()
    with progress.progress("quick", 25) as bar:
        bar.advance(25)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" (")[0] for line in lines] == ["  maps: 10/25", "  maps: 20/25", "  maps: 25/25"]
