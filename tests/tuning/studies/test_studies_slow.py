"""Two studies' CPU presets, and thresholds with the patch they write, as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient


def agssp(*words: str) -> dict[str, Any]:
    """Run a command; its JSON."""
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": root, "RAY_worker_niceness": "0"}
    command = [sys.executable, "-m", "agssp", *words, "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=580, check=False, env=environment, cwd=root
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies") / "w"


@pytest.mark.slow
def test_fig7_then_thresholds_and_their_patch(workspace: Path) -> None:
    study = agssp("study", "fig7-threshold", f"workspace={workspace}")
    table = study["results"]
    assert [line[0].split(",")[0] for line in table["lines"]] == ["adaptive", "adaptive", "fixed", "fixed"]
    assert all(0 <= float(line[2]) <= 100 and 0 <= float(line[3]) <= 100 for line in table["lines"])
    best = table["best"]
    assert best["adaptive"]["value"] >= best["adaptive_paper_c"]["value"] - 1e-9
    assert best["fixed_best_of_each"]["value"] >= best["fixed_one_for_all"]["value"] - 1e-9
    assert (Path(study["directory"]) / "curves.png").read_bytes().startswith(b"\x89PNG")
    # The same images and maps serve the search, which makes none anew.
    config = workspace.parent / "project.yaml"
    preset = yaml.safe_load((Path(__file__).parents[3] / "tuning" / "studies" / "presets.yaml").read_text())[
        "cpu"
    ]
    config.write_text(yaml.safe_dump({**preset["base"], "workspace": str(workspace)}))
    tuned = agssp("tune", "thresholds", str(config), "--trials", "60")
    report = tuned["results"]
    assert (report["truth"], report["metric"]) == ("masks", "mask_iou")
    assert report["best"]["mask_iou"] >= report["project"]["mask_iou"]
    assert len(list(workspace.glob("maps/*/stage.json"))) == 1
    patch = Path(tuned["directory"]) / "patch.yaml"
    boxes = agssp("boxes", str(config), str(patch))
    stored = json.loads((Path(boxes["directory"]) / "stage.json").read_text())["config"]
    for key, value in report["chosen"].items():
        assert stored[key.removeprefix("boxes.")] == value


@pytest.mark.slow
def test_table_5_in_its_cpu_preset_and_again(workspace: Path) -> None:
    first = agssp("study", "table5", f"workspace={workspace}")
    assert len(first["cells"]) == 4
    for cell in first["cells"]:
        assert cell["not_run"] is None
        assert set(cell["mean"]) == {"evaluate.map50", "evaluate.map50_95"}
    assert len(list(workspace.glob("backbone/*/stage.json"))) == 4
    again = agssp("study", "table5", f"workspace={workspace}")
    assert again == first
    assert len(list(workspace.glob("finetune/*/stage.json"))) == 4
    text = (Path(first["directory"]) / "table.md").read_text()
    assert "79.8 / 44.3" in text  # the paper's own last row beside ours
    check_tracking(workspace, first)


def check_tracking(workspace: Path, table: dict[str, Any]) -> None:
    """Of the two runs of the study the first has a child for each cell with its figures, the second none."""
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'agssp'")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    studies = {run.info.run_id for run in runs if run.data.tags.get("agssp.command") == "study table5"}
    cells = [run for run in runs if run.data.tags.get("agssp.stage") == "cell"]
    assert len(studies) == 2
    (parent,) = {run.data.tags["mlflow.parentRunId"] for run in cells}
    assert parent in studies
    columns = ("lower stages frozen", "stages distilled")
    tracked = {tuple(run.data.params[name] for name in columns): run.data.metrics for run in cells}
    assert tracked == {tuple(cell["row"][name] for name in columns): cell["mean"] for cell in table["cells"]}
