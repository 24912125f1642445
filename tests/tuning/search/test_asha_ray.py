"""Trials that each start a Ray Train run, two at a time on two CPUs, some stopped before their end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT


@pytest.mark.ray
def test_stopped_trials_leave_their_cpus_to_later_ones(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.tuning.search.asha_search", str(tmp_path / "w")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    files = sorted((tmp_path / "w").glob("tune/halved/trials/*.json"))
    trials = [json.loads(file.read_text()) for file in files]
    assert [trial["number"] for trial in trials] == [0, 1, 2, 3]
    # Who is stopped, and how soon it is told so, is decided by who comes first to a rung.
    assert {trial["status"] for trial in trials} <= {"finished", "stopped"}
    assert all(0 < trial["epochs"] <= 10 for trial in trials)
    assert result["groups"] == ["REMOVED"]
    # In a small search all may be stopped: each was behind another when it came to a rung.
    ended = [trial for trial in trials if trial["status"] == "finished"] or trials
    assert result["best"] == max(ended, key=lambda trial: trial["value"])
