"""How a trial is noted that can't be run, and whether a search that goes on tries it again."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient

from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from tuning.search.ledger import Ledger, Proposals, TrialRecord
from tuning.search.trial import TrialPlan, run_trial
from tuning.space import parse_space

DOCUMENT: dict[str, Any] = {
    "workspace": "runs",
    "scaling": {"workers": 0},
    "finetune": {"starts": ["scratch"], "data": {"train": {"root": "photos"}}},
}


@pytest.fixture
def plan(tmp_path: Path, tracked: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> TrialPlan:
    """A search begun in a folder; its trials run in another, as Ray has it."""
    workspace = Storage.open(str(tracked(tmp_path / "project/runs")))
    parent = Tracker.open(TrackingSection(), workspace).create_run("search", {})
    (tmp_path / "session").mkdir()
    monkeypatch.chdir(tmp_path / "session")
    folder = str(tmp_path / "project")
    return TrialPlan(DOCUMENT, "finetune.map50_95", parent.id, workspace.at("tune", "line"), folder)


def never(value: float, epoch: int) -> None:
    pytest.fail("no epoch was trained")


def tried(plan: TrialPlan, **values: Any) -> TrialRecord:
    ledger = Ledger(plan.directory)
    ledger.write(TrialRecord(0, {f"finetune.{key}": value for key, value in values.items()}))
    record = run_trial(plan, 0, never)
    assert record == ledger.read(0)
    return record


def test_a_trial_without_its_folder_is_tried_again(plan: TrialPlan, tmp_path: Path) -> None:
    """The folder is looked for where the search was begun."""
    record = tried(plan, freeze="none")
    assert record.status == "failed"
    assert f"{tmp_path}/project/photos" in str(record.reason)
    assert not record.over
    proposals = Proposals(Ledger(plan.directory), parse_space(["finetune.freeze=[none]"]), 1, 0)
    assert [each.number for each in proposals.pending] == [0]
    tracker = Tracker.open(TrackingSection(), Storage.open(f"{tmp_path}/project/runs"))
    run = MlflowClient(tracker.uri).get_run(str(record.run_id))
    assert run.info.status == "FAILED"
    assert list(Path.cwd().iterdir()) == []  # nothing was looked for or written here


def test_values_that_make_no_config_are_not(plan: TrialPlan) -> None:
    record = tried(plan, freeze="everything")
    assert (record.status, record.over) == ("invalid", True)
    assert "finetune.freeze" in str(record.reason)


def test_a_workspace_that_cannot_be_opened_is_tried_again(plan: TrialPlan) -> None:
    there = TrialPlan({**DOCUMENT, "workspace": "nowhere://x"}, plan.metric, "", plan.directory, plan.folder)
    record = tried(there, freeze="none")
    assert (record.status, record.over) == ("failed", False)


def test_a_figure_that_is_no_number_is_none(plan: TrialPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN would be the greatest of all to some comparisons, and the least to others."""
    made = SimpleNamespace(results={"epochs": 3})
    monkeypatch.setattr("tuning.search.trial.measured", lambda *_: math.nan)
    monkeypatch.setattr("tuning.search.trial.artifact_of", lambda *_: made)
    record = tried(plan, freeze="none")
    assert (record.status, record.value, record.over) == ("invalid", None, True)
    assert "it is nan" in str(record.reason)
    monkeypatch.setattr("tuning.search.trial.measured", lambda *_: 0.5)
    record = tried(plan, freeze="none")  # a stage found complete tells its epochs, though none was heard
    assert (record.status, record.value, record.epochs) == ("finished", 0.5, 3)
