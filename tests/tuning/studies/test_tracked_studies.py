"""A study's columns, its picture, and its cells as runs of MLflow."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from cluster.stages.site import Site
from training.project import Project
from tuning.studies.picture import study_picture
from tuning.studies.plan import Cell, plan_cells
from tuning.studies.runner import run_study
from tuning.studies.study import CellResult, Study, load_study, studies
from tuning.studies.text import header, lines
from tuning.studies.tracked import cell_params


def results(study: Study, datasets: Sequence[str]) -> list[CellResult]:
    """Two seeds for every row but the last, whose figures rise with the row."""
    cells = [
        CellResult(
            row, dataset, {seed: dict.fromkeys(study.metrics, 0.1 * row + 0.01 * seed) for seed in (0, 1)}
        )
        for dataset in datasets
        for row in range(len(study.rows) - 1)
    ]
    return [*cells, CellResult(len(study.rows) - 1, datasets[0], not_run="no weights")]


def unchecked(project: Project) -> None:
    """Generated surfaces and models are sure to be there."""


def test_costs_have_columns_of_their_own() -> None:
    study = load_study("fig6-freeze")
    times = ["finetuning s", "detector s"]
    assert header(study, ["tiles"]) == ["frozen", "start", "tiles", *times]
    both = header(study, ["tiles", "strips"])
    assert both[2:] == ["tiles", *(f"tiles: {t}" for t in times), "strips", *(f"strips: {t}" for t in times)]
    figures = {
        "evaluate.map50": 0.5,
        "evaluate.map50_95": 0.25,
        "finetune.training_seconds": 31.4,
        "detector.training_seconds": 12.0,
    }
    table = lines(study, ["tiles"], [CellResult(11, "tiles", {0: dict(figures)})])
    assert table[11] == ["nothing in detector pretraining", "+AGSSP", "50.0 / 25.0", "31", "12"]
    assert table[0][2:] == ["not run", "–", "–"]
    for name in studies():
        study = load_study(name)
        heads = header(study, ["a", "b"])
        assert all(len(line) == len(heads) for line in lines(study, ["a", "b"], results(study, ["a", "b"])))
    memory = header(load_study("table6"), ["tiles"])
    assert memory[:7] == ["detector", "tiles", "parameters", "GPU MiB", "CPU MiB", "FPS", "images/s"]


@pytest.mark.parametrize("name", [name for name in studies() if name.startswith("fig6")])
def test_the_picture_has_a_panel_for_each_data_set_and_for_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study(name)
    drawn: list[Figure] = []
    save = Figure.savefig

    def seen(self: Figure, *words: Any, **more: Any) -> None:
        drawn.append(self)
        save(self, *words, **more)

    monkeypatch.setattr(Figure, "savefig", seen)
    png = study_picture(study, ["tiles", "strips"], results(study, ["tiles", "strips"]))
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
    axes = drawn[0].axes
    timed = any(metric.endswith("training_seconds") for metric in study.metrics)
    assert len(axes) == 2 * (2 if timed else 1)
    lengths = {round(bar.get_width(), 6) for bar in axes[0].patches}  # type: ignore[attr-defined]
    means = {round(100 * (0.1 * row + 0.005), 6) for row in range(len(study.rows) - 1)}
    assert lengths == (means if study.picture == "bars" else set())
    if study.picture == "lines":
        (line,) = {tuple(map(float, each.get_ydata())) for each in axes[0].lines if len(each.get_ydata()) > 1}  # type: ignore[arg-type]
        assert sorted(means) == pytest.approx(line)


def test_the_picture_marks_what_the_paper_prints() -> None:
    study = load_study("table5")
    with_paper = study_picture(study, ["Casting Billet"], results(study, ["Casting Billet"]))
    assert with_paper != study_picture(study, ["mine"], results(study, ["mine"]))


def test_params_are_what_differs_among_the_cells() -> None:
    study = load_study("fig6-epochs")
    cells = plan_cells(study, "cpu", {}, {}, seeds=(0, 1), only=(), check=unchecked)
    params = cell_params(study, cells)
    assert [each["backbone.loop.epochs"] for each in params] == [1, 1, 2, 2, 4, 4, 6, 6]
    assert [each["seed"] for each in params] == [0, 1] * 4
    assert {key for each in params for key in each if key.startswith(("finetune", "detector"))} == set()
    mixed = load_study("table6")
    cells = plan_cells(mixed, "cpu", {}, {}, seeds=None, only=(), check=unchecked)
    named = cell_params(mixed, cells)
    not_run = [each for cell, each in zip(cells, named, strict=True) if cell.not_run]
    assert not_run
    assert all(set(each) == {*mixed.columns, "dataset", "seed"} for each in not_run)
    assert {each.get("finetune.name") for each in named} >= {"yolov8n", "yolo11n"}


def test_a_killed_study_that_went_on_has_all_its_cells_in_one_run(tmp_path: Path) -> None:
    study = load_study("table5")
    cells = plan_cells(study, "cpu", {}, {}, seeds=None, only=(), check=unchecked)
    kept: set[int] = set()

    def figures(cell: Cell, metrics: Sequence[str], site: Site) -> dict[str, float | None]:
        if len(kept) == 2 and not killed:
            killed.append(True)
            raise KeyboardInterrupt
        if cell.row not in kept:
            with site.run.stage("finetune", config={}, tags={}):
                kept.add(cell.row)
        return dict.fromkeys(metrics, 0.25 * cell.row)

    killed: list[bool] = []
    project = Project(workspace=str(tmp_path / "w"))
    with pytest.raises(KeyboardInterrupt):
        run_study("table5", study, "cpu", cells, project, figures)
    run_study("table5", study, "cpu", cells, project, figures)
    run_study("table5", study, "cpu", cells, project, figures)  # nothing is made: no cell is written again
    client = MlflowClient(f"sqlite:///{tmp_path}/w/mlflow.db")
    experiment = client.get_experiment_by_name("agssp")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    children: dict[str, list[Run]] = {}
    for run in runs:
        if run.data.tags.get("agssp.stage") == "cell":
            children.setdefault(run.data.tags["mlflow.parentRunId"], []).append(run)
    first, second = sorted(children.values(), key=len)
    assert len(first) == 2
    values = {tuple(run.data.params[name] for name in study.columns): run.data.metrics for run in second}
    assert values == {row.names: dict.fromkeys(study.metrics, 0.25 * n) for n, row in enumerate(study.rows)}
