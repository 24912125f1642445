"""A search whose project has relative paths alone, though Ray runs trials in other folders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.repository import ROOT

PROJECT = {
    "name": "line",
    "workspace": "runs/line",
    "tracking": {"uri": "sqlite:///runs/mlflow.db"},
    "ray": {"cpus": 2, "gpus": 0, "object_store_gb": 0.2},
    "scaling": {"workers": 0},
    "finetune": {
        "data": {"train": {"root": "labelled"}},
        "image_size": 64,
        "resize": "square",
        "augment": {"mosaic": 0},
        "loop": {"epochs": 1, "batch_size": 4, "best_metric": None},
        "validation_share": 0.3,
    },
}


@pytest.mark.ray
def test_trials_find_the_folders_of_a_relative_config(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("labelled/images", "labelled/labels", "runs"):
        (tmp_path / kind).mkdir(parents=True)
    for number in range(12):
        pixels = rng.integers(0, 255, (64, 64), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"labelled/images/{number}.png")
        (tmp_path / f"labelled/labels/{number}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    (tmp_path / "project.yaml").write_text(yaml.safe_dump(PROJECT))
    words = ["tune", "finetune", "project.yaml", "--start=scratch", "--grid", "--concurrent=1", "--json"]
    command = [sys.executable, "-m", "agssp", *words, "--search=finetune.loop.lr=[0.001, 0.002]"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["counts"] == {"finished": 2}
    assert result["directory"] == f"{tmp_path}/runs/line/tune/line-finetune"
    # One stage of labels for all: the trials found what the command had made.
    assert len(list((tmp_path / "runs/line/labels").iterdir())) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labelled", "project.yaml", "runs"]
