"""Runs a declared study cell by cell; its cells are fingerprinted stages, so nothing is run twice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.config import Section
from cluster.errors import UserError
from cluster.on_ray import ray_session
from cluster.progress import say
from cluster.stages import Site, digest
from cluster.storage import Storage, no_space, workspace_faults
from cluster.tracking import PipelineRun, Tracker, ending
from training.pipeline import Pipeline
from training.project import Project
from training.starts import AGBP, AGSSP
from tuning.outcomes import measured
from tuning.studies.comparison import LEADING, TEST_BOXES
from tuning.studies.plan import Cell
from tuning.studies.study import CellResult, Study
from tuning.studies.text import document, markdown

Figures = dict[str, float | None]
Measure = Callable[[Cell, Sequence[str], Site], Figures]


def measured_cell(cell: Cell, metrics: Sequence[str], site: Site) -> Figures:
    """The metrics of a cell; its stages are made where they are absent.

    Args:
        cell: a cell that can be run.
        metrics: names of outcomes, see `tuning/outcomes.py`.
        site: workspace and the cell's tracking run.

    Returns:
        The metrics; where one is measured on the test split, the number of its true boxes too.

    Raises:
        UserError: a stage refuses, e.g. one category where the row is classification alone.
    """
    assert cell.pretraining is not None
    assert cell.target is not None
    (start,) = cell.target.finetune.starts
    pretraining = Pipeline(cell.pretraining, site)
    target = pretraining
    if cell.target is not cell.pretraining:
        target = Pipeline(cell.target, site)
    if start == AGBP:
        target.backbone = pretraining.backbone
    elif start == AGSSP:
        target.detector = pretraining.detector
    figures = {
        name: measured(name, target, start) if _takes_part(name, start, cell.pretraining) else None
        for name in metrics
    }
    if any(name in LEADING for name in metrics):
        figures[TEST_BOXES] = measured(TEST_BOXES, target, start)
    return figures


def _takes_part(name: str, start: str, project: Project) -> bool:
    """Whether a start needs the stage of an outcome; to measure it would else be to train it for nothing."""
    stage = name.partition(".")[0]
    if stage == "backbone":
        return start == AGBP or (start == AGSSP and project.detector.needs_backbone)
    return stage != "detector" or start == AGSSP


@dataclass(frozen=True)
class StudyResult:
    """Where a study's table lies, and what is in it."""

    directory: Storage
    table: Mapping[str, Any]


def run_study(
    name: str,
    study: Study,
    preset: str,
    cells: Sequence[Cell],
    project: Project,
    measure: Measure = measured_cell,
) -> StudyResult:
    """Run all cells that can be run; the table is written anew after each, so a killed study shows its part.

    A cell's stages that are complete are found, not made again: the same command goes on.

    Args:
        name: name of the study.
        study, preset, cells: what `plan_cells` was given, and what it returned.
        project: project whose `workspace`, `tracking`, `ray` and `name` are read.
        measure: function that gives a cell's figures.

    Raises:
        UserError: the workspace or the tracking server is at fault.
    """
    workspace = Storage.open(project.workspace)
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    directory = workspace.at("study", f"{name}-{_key(preset, cells)[:16]}")
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    results: dict[tuple[int, str], CellResult] = {}

    def write() -> dict[str, Any]:
        table = document(study, preset, datasets, list(results.values()))
        directory.write_json("table.json", table)
        directory.write("table.md", markdown(study, preset, datasets, list(results.values())).encode())
        return table

    tags = {"agssp.project": project.name, "agssp.command": f"study {name}", "agssp.preset": preset}
    parent = tracker.create_run(f"{project.name}: study {name}", tags)
    with workspace_faults(workspace), ray_session(project.ray), ending(lambda: parent):
        for number, cell in enumerate(cells, start=1):
            result = results.setdefault((cell.row, cell.dataset), CellResult(cell.row, cell.dataset))
            title = f"{name}: cell {number} of {len(cells)}, {_title(study, cell)}"
            if cell.not_run:
                result.not_run = cell.not_run
                say(f"{title}: not run: {cell.not_run}")
            else:
                say(title)
                cell_tags = {"mlflow.parentRunId": parent.id, "agssp.stage": "cell"}
                with tracker.pipeline(title, cell_tags) as run:
                    try:
                        figures = measure(cell, study.metrics, Site(workspace, run))
                    except UserError as error:
                        if no_space(error):  # the next cell has none either
                            raise
                        result.not_run = str(error)
                        say(f"{title}: not run: {error}")
                    else:
                        result.seeds[cell.seed] = figures
                        _log(study, cell, figures, run)
            write()
        table = write()
        parent.log_json(table, "table.json")
        with directory.local_copy("table.md") as path:
            parent.log_file(Path(path))
    tracker.deliver(None)
    return StudyResult(directory, table)


def _log(study: Study, cell: Cell, figures: Figures, run: PipelineRun) -> None:
    """Record a cell's figures where a stage was made; a cell that was all there has no run."""
    if run.run is not None:
        names = dict(zip(study.columns, study.rows[cell.row].names, strict=True))
        run.run.log_params({**names, "dataset": cell.dataset, "seed": cell.seed})
        run.run.log_metrics({name: value for name, value in figures.items() if value is not None})


def _title(study: Study, cell: Cell) -> str:
    names = " ".join(name for name in study.rows[cell.row].names if name != "-")
    return f"{names} on {cell.dataset}, seed {cell.seed}"


def _key(preset: str, cells: Sequence[Cell]) -> str:
    """Digest of preset and cells, so that other settings get a table of their own."""

    def settings(project: Section | None) -> Any:
        left_out = {"workspace", "ray", "tracking", "scaling"}
        return None if project is None else project.model_dump(mode="json", exclude=left_out)

    return digest(
        [preset, [[c.row, c.dataset, c.seed, settings(c.pretraining), settings(c.target)] for c in cells]]
    )
