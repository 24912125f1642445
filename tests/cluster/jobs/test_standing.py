"""A job's standing, read from the very lines that its stages and steps write."""

import pytest
from hypothesis import given, strategies as st

from cluster import progress
from cluster.jobs.standing import standings
from cluster.progress import Standing
from cluster.stages.site import Site
from cluster.stages.stage import ensure
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from tests.silent_tracking import SilentPipeline

TITLES = st.sampled_from(["maps: kead", "maps", "backbone: learning where anomalies are", "corpus: hashing"])
NOTES = st.sampled_from(["", "loss 0.1234", "90 seen"])


@given(
    TITLES,
    st.integers(0, 10**9),
    st.none() | st.integers(0, 10**9),
    st.none() | st.integers(0, 10**9).map(lambda n: n / 1000),
    st.none() | st.integers(0, 10**8),
    NOTES,
)
def test_a_line_is_read_as_it_was_written(
    title: str, done: int, total: int | None, rate: float | None, left: int | None, note: str
) -> None:
    standing = Standing(title, done, total, rate, left if rate is not None else None, note)
    assert Standing.parse(standing.line()) == standing


@pytest.mark.parametrize(
    "line", ["", "maps: 3/4", "  no numbers: here", "  maps: done in 3 s", "  : 3", "  a: 3/"]
)
def test_other_lines_are_no_standing(line: str) -> None:
    assert Standing.parse(line) is None


def test_the_rate_leaves_the_start_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("cluster.progress.time.monotonic", lambda: now[0])
    with progress.progress("maps", 1000) as bar:
        assert bar.standing() == Standing("maps", 0, 1000)
        now[0] = 60.0  # actors load
        bar.to(100)
        assert bar.standing() == Standing("maps", 100, 1000)
        now[0] = 70.0
        bar.to(200)
        assert bar.standing() == Standing("maps", 200, 1000, 10.0, 80)


def test_stages_and_steps_of_a_real_log(
    workspace: Storage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    pipeline = SilentPipeline(Tracker.open(TrackingSection(), workspace), "p", {})

    def body(bench: object) -> dict[str, int]:
        with progress.progress("corpus: hashing", 10) as bar:
            bar.to(10)
        return {"images": 10}

    def broken(bench: object) -> dict[str, int]:
        with progress.progress("maps: kead", 10) as bar:
            bar.to(4, "half")
        raise ValueError

    for _ in range(2):
        ensure("corpus", site=Site(workspace, pipeline), config={}, inputs={}, body=body)
    with pytest.raises(ValueError):  # noqa: PT011
        ensure("maps", site=Site(workspace, pipeline), config={}, inputs={}, body=broken)
    log = capsys.readouterr().err
    first, second = standings(f"some library's line\n{log}\n{'x' * 10**6}: 3\n")
    assert (first.stage, first.state) == ("corpus", "reused")
    assert (second.stage, second.state) == ("maps", "running")
    assert second.step == Standing("maps: kead", 4, 10, note="half")
    before = standings(log[: log.index("corpus: complete already")])
    assert (before[0].state, before[0].figures) == ("done", "images 10")


def test_hostile_logs_cost_little() -> None:
    assert standings(("  " + "a: " * 600 + "\n") * 200 + "maps: started, into \n") != []
