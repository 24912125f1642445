"""Declared studies: shipped figures against the paper's text, plans, tables, a sentence for every fault."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from cluster.errors import UserError
from cluster.stages.site import Site
from tests.e2e.test_bad_input import expect, run
from tests.repository import shared
from tests.tuning.table4.test_table4 import PAPER_TEXT
from training.project import Project
from tuning.cli.study_commands import data_sets, parse_seeds
from tuning.studies.plan import Cell, plan_cells
from tuning.studies.runner import run_study
from tuning.studies.study import CellResult, load_study, selected_rows, studies
from tuning.studies.text import document, footnotes, lines, markdown

NAMES = ("fig6-detectors", "fig6-epochs", "fig6-freeze", "fig6-loss", "table2", "table3", "table5", "table6")


def printed(head: str, count: int) -> list[list[float]]:
    """Figures of the rows after a table's head: the last `count` cells, gains in brackets left out."""
    rows = []
    for line in shared(PAPER_TEXT).read_text().split(head)[1].splitlines()[1:]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.split("|") if cell.strip()]
        found = [re.match(r"[\d.]+", cell) for cell in cells[-count:]]
        if len(found) == count and all(found):
            rows.append([float(match.group()) for match in found if match])
    return rows


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "head", "count"),
    [
        ("table2", "| Backbone | Method | Dataset | mAP@.5", 8),
        ("table3", "| Backbone | Pretraining | Casting Billet-Mini50 |", 4),
    ],
)
def test_shipped_figures_are_those_printed(name: str, head: str, count: int) -> None:
    shipped = [[figure for pair in row.paper for figure in pair] for row in load_study(name).rows]
    found = printed(head, count)
    assert len(found) == {"table2": 23, "table3": 7}[name]
    assert shipped == found


@pytest.mark.data
def test_table_5_is_that_printed() -> None:
    text = shared(PAPER_TEXT).read_text()
    section = text.split("lower layers during backbone pretraining enhances")[1].split("5.3.2")[0]
    found = re.findall(r"([✗✓]) \| ([✗✓]) \| ([\d.]+) \| ([\d.]+)", section)
    marks = {"✗": ("no", "last"), "✓": ("yes", "last two")}
    expected = [(marks[a][0], marks[b][1], (float(x), float(y))) for a, b, x, y in found]
    assert len(expected) == 4
    assert [(*row.names, row.paper[0]) for row in load_study("table5").rows] == expected


@pytest.mark.data
def test_table_6_is_that_printed() -> None:
    text = shared(PAPER_TEXT).read_text().split("| Model | mAP@.5 | mAP@.5:95 | Param |")[1]
    for row in load_study("table6").rows:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {row.names[0]} |")]
        cells = [cell.strip() for cell in line.strip("| ").split("|")][1:]
        assert [float(re.match(r"[\d.]+", cell).group()) for cell in cells] == list(row.paper[0])  # type: ignore[union-attr]


@pytest.mark.parametrize("name", NAMES)
def test_a_studys_plan_runs_every_cell_or_says_why_not(name: str) -> None:
    assert tuple(studies()) == NAMES
    study = load_study(name)
    assert set(study.presets) == {"cpu", "full"}
    cells = plan_cells(study, "cpu", {}, {}, seeds=None, only=())
    assert len(cells) == len(study.rows) * len(study.presets["cpu"].datasets)
    for cell in cells:
        assert (cell.target is None) == bool(cell.not_run)
    assert any(cell.target for cell in cells)
    full = plan_cells(study, "full", {}, {}, seeds=None, only=())
    assert len(full) == 3 * len(study.rows) * len(study.presets["full"].datasets)
    assert all(cell.not_run for cell in full)


def test_cells_are_the_rows_settings_over_the_users_over_the_presets() -> None:
    study = load_study("table5")
    words: dict[str, Any] = {
        "backbone": {"loop": {"epochs": 9}, "distilled_stages": 3},
        "finetune": {"limit": 7},
    }
    cells = plan_cells(study, "cpu", words, {}, seeds=(4, 5), only=["last two"])
    assert [(cell.row, cell.seed) for cell in cells] == [(1, 4), (1, 5), (3, 4), (3, 5)]
    for cell in cells:
        project = cell.target
        assert project is not None
        assert project.backbone.loop.epochs == 9
        assert project.backbone.loop.batch_size == 16
        assert project.backbone.distilled_stages == 2
        assert (project.finetune.limit, project.finetune.starts, project.seed) == (7, ("agbp",), cell.seed)
        assert cell.pretraining is cell.target


def test_a_dataset_of_its_own_is_finetuned_on_what_pretraining_never_saw() -> None:
    cells = plan_cells(load_study("table3"), "cpu", {}, {}, seeds=None, only=["AGSSP", "CSPDarknet"])
    few, other = cells
    assert few.pretraining is few.target
    assert few.target is not None
    assert few.target.finetune.limit == 8
    assert other.target is not None
    assert other.pretraining is not None
    assert other.pretraining.generate is not None
    assert other.target.generate is not None
    assert other.target.generate.categories == ("copper_foil",)
    assert "copper_foil" not in (other.pretraining.generate.categories or ())
    assert other.target.backbone == other.pretraining.backbone


def test_users_images_take_the_place_of_generated_ones(tmp_path: Path) -> None:
    study = load_study("table3")
    words = {"corpus": {"root": str(tmp_path / "none")}, "name": "mine"}
    cells = plan_cells(study, "cpu", words, {}, seeds=None, only=["AGSSP", "CSPDarknet"])
    reasons = {cell.dataset: cell.not_run for cell in cells}
    assert "does not exist" in str(reasons["8 images"])
    assert reasons["other surface"] == 'give the images of "other surface" in --data FILE'
    given: dict[str, Any] = {
        "other surface": {"corpus": {"root": str(tmp_path / "other")}},
        "third": {"finetune": {"limit": 3}},
    }
    cells = plan_cells(study, "cpu", words, given, seeds=None, only=["AGSSP", "CSPDarknet"])
    assert [cell.dataset for cell in cells] == ["8 images", "other surface", "third"]
    (cell,) = plan_cells(load_study("table5"), "cpu", words, {}, seeds=None, only=["yes", "last two"])
    assert cell.dataset == "mine"


def cells_of(study: Any) -> list[CellResult]:
    figures: dict[str, float | None] = {"evaluate.map50": 0.5, "evaluate.map50_95": 0.25}
    more: dict[str, float | None] = {"evaluate.map50": 0.6, "evaluate.map50_95": None}
    return [
        CellResult(0, "tiles", {0: figures, 1: more}),
        CellResult(1, "tiles", {0: figures}),
        CellResult(2, "tiles", not_run="no weights"),
    ]


def test_table_shows_means_deviations_and_what_was_not_run() -> None:
    study = load_study("table5")
    cells = cells_of(study)
    table = lines(study, ["tiles"], cells)
    # √(0.05² + 0.05²) = 7.07 points between 50 and 60; one figure alone has no deviation.
    assert table[0] == ["no", "last", "55.0 ± 7.1 / 25.0", "78.1 / 42.3"]
    assert table[1][2] == "50.0 / 25.0"
    assert [row[2] for row in table[2:]] == ["not run", "not run"]
    notes = footnotes(study, "cpu", cells)
    assert any("yes last (tiles): no weights" in note for note in notes)
    assert any("seeds 0, 1" in note for note in notes)
    assert any("arXiv 2509.18919v1" in note for note in notes)
    text = markdown(study, "cpu", ["tiles"], cells)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(study.rows)
    assert len({line.count("|") for line in rows}) == 1
    stored = document(study, "cpu", ["tiles"], cells)
    assert stored["cells"][0]["mean"]["evaluate.map50"] == pytest.approx(0.55)
    assert stored["cells"][0]["deviation"]["evaluate.map50_95"] is None


def test_a_start_that_a_preset_replaces_is_told() -> None:
    said = "In this preset the rows that start from imagenet begin with scratch, whatever their names say."
    study = load_study("fig6-detectors")
    assert said in footnotes(study, "cpu", [])
    assert not any("begin with" in note for note in footnotes(study, "full", []))


def test_row_filter_and_seeds() -> None:
    study = load_study("table2")
    assert len(selected_rows(study, ["agssp"])) == 4
    assert len(selected_rows(study, ["agssp", "swin"])) == 2
    assert parse_seeds("0, 2,5") == (0, 2, 5)
    for text in ("", "a", "1,1", "-1", "1.5", str(2**31)):
        with pytest.raises(UserError, match="--seeds"):
            parse_seeds(text)


def test_data_files_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("Casting Billet: {corpus: {root: a}}")
    assert data_sets(path) == {"Casting Billet": {"corpus": {"root": "a"}}}
    path.write_text("Casting Billet: a")
    with pytest.raises(UserError, match="settings by data set's name; Casting Billet has none"):
        data_sets(path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["study", "table5", "--preset", "gpu"], 'no preset "gpu"'),
        (["study", "table5", "--only", "teapot"], "No row of the study has teapot"),
        (["study", "table5", "backbone.freze_stages=1"], 'did you mean "freeze_stages"'),
        (["study", "table5", "--data", "none.yaml"], "none.yaml can't be read"),
        (["study", "fig7-threshold", "--preset", "full"], "full preset needs images with masks"),
        (["study", "fig7-threshold", "--preset", "x"], 'no preset "x"'),
        (["tune", "thresholds", "--search", "boxes.d=[1]"], 'unknown key "boxes.d"'),
        (["tune", "thresholds", "--search", "boxes.c=[]"], "search space of boxes.c is empty"),
        (["tune", "thresholds", "--search", "finetune.loop.lr=[1]"], "works on stored maps"),
        (["tune", "thresholds", "--metric", "mask_io"], 'did you mean "mask_iou"'),
        (["tune", "thresholds", "--grid"], "The grid is empty"),
        (["tune", "finetune", "--scheduler", "pbt"], "--scheduler pbt is not offered"),
        (["tune", "finetune", "--scheduler", "ash"], 'no scheduler "ash"; did you mean "asha"'),
        (["tune", "finetune", "--metric", "finetune.map"], 'metric "finetune.map"'),
        (["tune", "finetune", "--name", "a/b"], '--name "a/b"'),
        (["tune", "finetune", "--start", "cocoa"], 'no start "cocoa"'),
        (
            ["tune", "finetune", "--grid", "--search", "finetune.loop.lr=0.1..0.2"],
            "A grid needs values or a step",
        ),
        (["tune", "finetune"], "corpus.root is not set"),
    ],
)
def test_faults_are_one_sentence_and_nothing_is_written(words: list[str], told: str, tmp_path: Path) -> None:
    expect(run(*words, f"workspace={tmp_path / 'w'}"), told)
    assert not (tmp_path / "w").exists()


def test_a_study_keeps_its_table_after_every_cell(tmp_path: Path) -> None:
    study = load_study("table5")
    cells = plan_cells(study, "cpu", {}, {}, seeds=(0, 1), only=["last two"])
    seen: list[tuple[int | None, int]] = []

    def figures(cell: Cell, metrics: Sequence[str], site: Site) -> dict[str, float | None]:
        assert cell.target is not None
        project = cell.target
        key = (project.backbone.freeze_stages, project.seed)
        seen.append(key)
        if key == (2, 0):
            raise UserError("There is nothing to learn.")
        if key == (2, 1) and not interrupted:
            interrupted.append(key)
            raise KeyboardInterrupt
        return dict.fromkeys(metrics, 0.25 + float(project.seed) / 2)

    interrupted: list[tuple[int | None, int]] = []
    project = Project(workspace=str(tmp_path / "w"))
    with pytest.raises(KeyboardInterrupt):
        run_study("table5", study, "cpu", cells, project, figures)
    (table,) = (tmp_path / "w" / "study").glob("table5-*/table.json")
    assert json.loads(table.read_text())["lines"][1][2] == "50.0 ± 35.4 / 50.0 ± 35.4"
    result = run_study("table5", study, "cpu", cells, project, figures)
    assert list((tmp_path / "w" / "study").glob("table5-*/table.json")) == [table]
    assert [line[2] for line in result.table["lines"]] == [
        "not run",
        "50.0 ± 35.4 / 50.0 ± 35.4",
        "not run",
        "75.0 / 75.0",
    ]
    assert any("nothing to learn" in note for note in result.table["notes"])
    assert seen == [(0, 0), (0, 1), (2, 0), (2, 1)] * 2
    other = run_study("table5", study, "cpu", cells[:1], project, figures)
    assert other.directory.uri != str(table.parent)
    client = MlflowClient(f"sqlite:///{tmp_path}/w/mlflow.db")
    experiment = client.get_experiment_by_name("agssp")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "FINISHED", "KILLED"]


def test_a_study_in_which_nothing_is_found_says_so() -> None:
    study = load_study("table5")
    nothing: dict[str, float | None] = {"evaluate.map50": 0.0, "evaluate.map50_95": 0.0}
    cells = [CellResult(0, "tiles", {0: nothing}), CellResult(1, "tiles", {0: nothing})]
    said = "No start finds anything"
    assert any(said in note for note in footnotes(study, "cpu", cells))
    assert not any(said in note for note in footnotes(study, "cpu", cells_of(study)))
    assert not any(said in note for note in footnotes(study, "cpu", []))
