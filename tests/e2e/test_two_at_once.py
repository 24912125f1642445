"""Two pipelines on one workspace with the same config, started at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT


@pytest.mark.slow
def test_one_works_and_the_other_uses_what_it_made(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "agssp", "corpus", "--json", f"workspace={tmp_path / 'ws'}"),
        "generate={seed: 1, images_per_category: 12, size: 64, categories: [rail]}",
        *("ray.cpus=1", "ray.gpus=0", "ray.object_store_gb=0.2"),
    ]
    environment = {**os.environ, "RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    results = [json.loads(out.strip().splitlines()[-1]) for out, _ in told]
    assert sorted(result["reused"] for result in results) == [False, True]
    assert results[0]["fingerprint"] == results[1]["fingerprint"]
    assert results[0]["results"] == results[1]["results"]
    assert results[0]["results"]["images"] == 12
    logs = [err for _, err in told]
    for stage in ("surfaces", "corpus"):
        assert sum(f"{stage}: done in" in log for log in logs) == 1
        assert sum(f"{stage}: complete already" in log for log in logs) == 1
