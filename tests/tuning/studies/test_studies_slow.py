"""Two studies' CPU presets, and thresholds with the patch they write, as a user runs them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from cluster.on_ray.section import RaySection
from cluster.on_ray.session import ray_session
from tests.in_process import run
from tests.repository import ROOT


@pytest.fixture(scope="module")
def workspace(tracked: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of both tests, as the second's images and maps are the first's; the first command's Ray serves all."""
    with ray_session(RaySection()):
        yield tracked(tmp_path_factory.mktemp("studies") / "w")


@pytest.mark.slow
def test_fig7_then_thresholds_and_their_patch(workspace: Path) -> None:
    study, _ = run("study", "fig7-threshold", f"workspace={workspace}")
    table = study["results"]
    assert [line[0].split(",")[0] for line in table["lines"]] == ["adaptive", "adaptive", "fixed", "fixed"]
    assert all(0 <= float(line[2]) <= 100 and 0 <= float(line[3]) <= 100 for line in table["lines"])
    best = table["best"]
    assert best["adaptive"]["value"] >= best["adaptive_paper_c"]["value"] - 1e-9
    assert best["fixed_best_of_each"]["value"] >= best["fixed_one_for_all"]["value"] - 1e-9
    assert (Path(study["directory"]) / "curves.png").read_bytes().startswith(b"\x89PNG")
    # The same images and maps serve the search, which makes none anew.
    config = workspace.parent / "project.yaml"
    preset = yaml.safe_load((ROOT / "tuning" / "studies" / "presets.yaml").read_text())["cpu"]
    config.write_text(yaml.safe_dump({**preset["base"], "workspace": str(workspace)}))
    tuned, _ = run("tune", "thresholds", str(config), "--trials", "60")
    report = tuned["results"]
    assert (report["truth"], report["metric"]) == ("masks", "mask_iou")
    assert report["best"]["mask_iou"] >= report["project"]["mask_iou"]
    assert len(list(workspace.glob("maps/*/stage.json"))) == 1
    patch = Path(tuned["directory"]) / "patch.yaml"
    boxes, _ = run("boxes", str(config), str(patch))
    stored = json.loads((Path(boxes["directory"]) / "stage.json").read_text())["config"]
    for key, value in report["chosen"].items():
        assert stored[key.removeprefix("boxes.")] == value


@pytest.mark.slow
def test_table_5_in_its_cpu_preset_and_again(workspace: Path) -> None:
    first, _ = run("study", "table5", f"workspace={workspace}", "--register")
    assert len(first["cells"]) == 4
    for cell in first["cells"]:
        assert cell["not_run"] is None
        assert set(cell["mean"]) == {"evaluate.map50", "evaluate.map50_95"}
    assert len(list(workspace.glob("backbone/*/stage.json"))) == 4
    again, _ = run("study", "table5", f"workspace={workspace}", "--register")
    assert again == first  # no second version either
    (model,) = first["models"]
    seeds = {" ".join(cell["row"].values()): cell["seeds"]["0"] for cell in first["cells"]}
    choice = "finetune.map50_95"  # on validation images
    assert model[choice] == max(figures[choice] for figures in seeds.values())
    assert seeds[model["row"]][choice] == model[choice]
    assert (model["version"], model["alias"]) == (1, "candidate")
    listed, _ = run("models", "list", f"workspace={workspace}")
    assert model["name"] in json.dumps(listed)
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
    names = {entry.path for entry in client.list_artifacts(parent)}
    assert {"table.json", "table.md", "figure.png"} <= names
    numbers = ("backbone.freeze_stages", "backbone.distilled_stages")
    settings = {tuple(float(run.data.params[name]) for name in numbers) for run in cells}
    assert settings == {(0, 1), (0, 2), (2, 1), (2, 2)}
    columns = ("lower stages frozen", "stages distilled")
    tracked = {tuple(run.data.params[name] for name in columns): run.data.metrics for run in cells}
    assert all(figures.pop("evaluate.boxes") > 0 for figures in tracked.values())  # for the verdict alone
    assert all(0 <= figures.pop("finetune.map50_95") <= 1 for figures in tracked.values())  # for the choice
    assert tracked == {tuple(cell["row"][name] for name in columns): cell["mean"] for cell in table["cells"]}
