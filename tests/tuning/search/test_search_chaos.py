"""A search of trainings as a user runs it, two trials at a time on two CPUs, its driver killed at half."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from agssp import app
from tests.repository import ROOT

AGSSP = str(Path(sys.executable).parent / "agssp")
TRIALS = 4
WORDS = [
    "tune",
    "finetune",
    "ray.cpus=2",
    "scaling.workers=0",  # trials on Ray Train's workers: test_asha_ray.py
    "generate={seed: 7, images_per_category: 16, size: 64, defect_share: 0.7, categories: [rail]}",
    "finetune.image_size=64",
    "finetune.resize=square",
    "finetune.augment.mosaic=0",
    "finetune.loop.epochs=2",
    "finetune.loop.batch_size=8",
    "--start=scratch",
    "--scheduler=none",
    "--grid",
    "--search=finetune.loop.lr=[0.001, 0.003]",
    "--search=finetune.freeze=[none, backbone]",
    "--json",
]


def command(workspace: Path) -> list[str]:
    return [sys.executable, "-m", "agssp", *WORDS, f"workspace={workspace}"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "RAY_worker_niceness": "0"}


def records(workspace: Path) -> dict[int, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in workspace.glob("tune/surfaces-finetune/trials/*.json")]
    return {record["number"]: record for record in found}


@pytest.mark.chaos
def test_a_search_killed_at_half_runs_every_trial_exactly_once(
    tmp_path: Path, tracked: Callable[[Path], Path]
) -> None:
    workspace = tracked(tmp_path / "w")
    log = (tmp_path / "log").open("w")
    search = subprocess.Popen(command(workspace), env=environment(), stdout=log, stderr=log)
    try:
        while sum(record["status"] == "finished" for record in records(workspace).values()) < TRIALS // 2:
            assert search.poll() is None, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.1)
    finally:
        search.kill()
        search.wait()
    time.sleep(3)  # Ray's processes notice and end
    before = {n: record for n, record in records(workspace).items() if record["status"] == "finished"}
    assert 0 < len(before) < TRIALS
    weights = {path: path.stat().st_mtime_ns for path in workspace.glob("finetune/*/stage.json")}
    assert len(weights) >= len(before)
    done = subprocess.run(
        [*command(workspace), "--register"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    # Every combination once; what was finished was not touched again.
    assert result["counts"] == {"finished": TRIALS}
    values = [tuple(sorted(trial["values"].items())) for trial in result["trials"]]
    assert len(set(values)) == len(values) == TRIALS
    after = records(workspace)
    assert {n: after[n] for n in before} == before
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert len(list(workspace.glob("finetune/*/stage.json"))) == TRIALS
    check_tracking(workspace, result)
    # What is refused starts nothing, so it needs no process of its own.
    another = [*WORDS, f"workspace={workspace}", "--search=finetune.limit=[2, 4]"]
    refused = CliRunner().invoke(app, another)
    assert refused.exit_code == 2
    assert "begun with another search space" in json.loads(refused.stdout.strip().splitlines()[-1])["error"]


def check_tracking(workspace: Path, result: dict[str, Any]) -> None:
    """One parent; every trial a child with its values and figure; none left running; the best registered."""
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'agssp'")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    by_id = {run.info.run_id: run for run in runs}
    for trial in result["trials"]:
        run = by_id[trial["run_id"]]
        parent = by_id[run.data.tags["mlflow.parentRunId"]]
        assert parent.data.tags["agssp.search"] == "surfaces-finetune"
        assert run.info.status == "FINISHED"
        assert float(run.data.params["finetune.loop.lr"]) == trial["values"]["finetune.loop.lr"]
        assert run.data.metrics[result["metric"]] == pytest.approx(trial["value"])
    trials = [run for run in runs if run.data.tags.get("agssp.stage") == "trial"]
    assert len({run.data.tags["mlflow.parentRunId"] for run in trials}) == 1
    assert sum(run.info.status == "FINISHED" for run in trials) == TRIALS
    assert not [run.data.tags for run in runs if run.info.status == "RUNNING"]
    assert result["best"]["value"] == max(trial["value"] for trial in result["trials"])
    version = client.get_model_version_by_alias(result["model"]["name"], "candidate")
    assert version.tags["start"] == "scratch"
