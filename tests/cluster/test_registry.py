"""The registry: versions, aliases, lineage, and names that don't exist."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from cluster.errors import UserError
from cluster.registry import list_models, register, show_model
from cluster.storage import Storage
from cluster.tracking import Run, Tracker, TrackingSection

NAME = "surfaces-detector-yolov8n"


@pytest.fixture
def run(tracker: Tracker, tmp_path: Path) -> Run:
    """A run that holds weights and a metric."""
    run = tracker.create_run("detector", {})
    weights = tmp_path / "detector.safetensors"
    weights.write_bytes(b"weights")
    run.log_file(weights, "weights")
    run.log_metrics({"map50": 0.7})
    return run


def registered(run: Run, fingerprint: str, alias: str = "candidate") -> int:
    """Register `run` as made by the stage of that fingerprint."""
    tags = {"fingerprint": fingerprint, "corpus": "c0", "code_version": "0.1.0"}
    return register(run, name=NAME, folder="weights", tags=tags, alias=alias, description="a detector")


def test_versions_count_up_and_the_same_stage_makes_none(tracker: Tracker, run: Run) -> None:
    assert [registered(run, "a"), registered(run, "b"), registered(run, "a", "champion")] == [1, 2, 1]
    (row,) = list_models(tracker)
    assert (row.name, row.versions, row.latest) == (NAME, 2, 2)
    assert row.aliases == {"candidate": 2, "champion": 1}


def test_show_tells_the_whole_lineage(tracker: Tracker, run: Run) -> None:
    registered(run, "a")
    registered(run, "b")
    details = show_model(tracker, NAME, "1")
    assert details.lineage == {"fingerprint": "a", "corpus": "c0", "code_version": "0.1.0"}
    assert details.metrics == {"map50": 0.7}
    assert (details.run_id, details.description) == (run.id, "a detector")
    assert details.source.endswith("/artifacts/weights")
    assert show_model(tracker, NAME, None).version == 2
    assert show_model(tracker, NAME, "candidate").aliases == ("candidate",)
    assert show_model(tracker, NAME, 1).version == 1


def test_the_source_holds_the_weights(tracker: Tracker, run: Run) -> None:
    registered(run, "a")
    source = urlsplit(show_model(tracker, NAME, "candidate").source)
    assert source.scheme == "file"
    assert (Path(unquote(source.path)) / "detector.safetensors").read_bytes() == b"weights"


def test_unknown_names_get_the_nearest(tracker: Tracker, run: Run) -> None:
    with pytest.raises(UserError, match="none is registered yet"):
        show_model(tracker, "x", None)
    registered(run, "a")
    with pytest.raises(UserError, match=f'did you mean "{NAME}"'):
        show_model(tracker, "surfaces-detector-yolov8", None)
    with pytest.raises(UserError, match='did you mean "candidate"'):
        show_model(tracker, NAME, "candidat")
    with pytest.raises(UserError, match='no version or alias "7"'):
        show_model(tracker, NAME, 7)


def test_an_empty_tracker_lists_nothing_and_stays_empty(workspace: Storage) -> None:
    tracker = Tracker.open(TrackingSection(), workspace)
    assert list_models(tracker) == []
    assert tracker.is_empty


def test_weights_that_are_not_there_are_not_registered(tracker: Tracker, run: Run) -> None:
    with pytest.raises(ValueError, match="no artifacts"):
        register(run, name=NAME, folder="wrong", tags={"fingerprint": "a"}, description="")
    with pytest.raises(ValueError, match="fingerprint"):
        register(run, name=NAME, folder="weights", tags={}, description="")
    with pytest.raises(UserError, match="is not in"):
        registered(Run(run.tracking_uri, "0" * 32), "a")
    assert list_models(tracker) == []
