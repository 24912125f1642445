"""Runs a declared study cell by cell; its cells are fingerprinted stages, so nothing is run twice."""

import re
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
from training.project import Project
from tuning.studies.cells import CHOICE, Figures, measured_cell, registered_cell
from tuning.studies.picture import study_picture
from tuning.studies.plan import Cell
from tuning.studies.study import CellResult, Study
from tuning.studies.text import document, markdown
from tuning.studies.tracked import cell_params
from tuning.study_folder import track_cell

TABLE_FILES = ("table.md", "figure.png")
Measure = Callable[[Cell, Sequence[str], Site], Figures]


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
    *,
    registers: bool = False,
) -> StudyResult:
    """Run all cells that can be run; the table is written anew after each, so a killed study shows its part.

    A cell's stages that are complete are found, not made again: the same command goes on. Writes
    `table.json`, `table.md` and, at the end, `figure.png`. The study's tracking run has them too; its
    children are the cells, each with the settings in which they differ as params, and its figures.

    Args:
        name: name of the study.
        study, preset, cells: what `plan_cells` was given, and what it returned.
        project: project whose `workspace`, `tracking`, `ray` and `name` are read.
        measure: function that gives a cell's figures.
        registers: whether the best detector of each data set is registered, by its validation images.

    Raises:
        UserError: the workspace or the tracking server is at fault.
    """
    workspace = Storage.open(project.workspace)
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    directory = workspace.at("study", f"{name}-{_key(preset, cells)[:16]}")
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    results: dict[tuple[int, str], CellResult] = {}
    metrics = (*study.metrics, *([CHOICE] if registers and CHOICE not in study.metrics else []))
    params = cell_params(study, cells)
    found: list[tuple[str, Mapping[str, Any], Figures]] = []

    def write() -> dict[str, Any]:
        table = document(study, preset, datasets, list(results.values()))
        directory.write_json("table.json", table)
        directory.write("table.md", markdown(study, preset, datasets, list(results.values())).encode())
        return table

    tags = {"agssp.project": project.name, "agssp.command": f"study {name}", "agssp.preset": preset}
    parent = tracker.create_run(f"{project.name}: study {name}", tags)
    with workspace_faults(workspace), ray_session(project.ray), ending(lambda: parent):
        made = 0
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
                        figures = measure(cell, metrics, Site(workspace, run))
                    except UserError as error:
                        if no_space(error):  # the next cell has none either
                            raise
                        result.not_run = str(error)
                        say(f"{title}: not run: {error}")
                    else:
                        result.seeds[cell.seed] = figures
                        if run.run is None:  # all its stages were there
                            found.append((title, params[number - 1], figures))
                        else:
                            made += 1
                            run.run.log_params(params[number - 1])
                            run.run.log_metrics(_known(figures))
            write()
        for title, settings, figures in found if made else ():  # else an earlier run has them
            track_cell(tracker, parent, title, settings, _known(figures))
        table = write()
        if registers:
            under = PipelineRun(tracker, "registration", {})
            under.run = parent
            table["models"] = _registered(study, cells, results, Site(workspace, under))
            directory.write_json("table.json", table)
        directory.write("figure.png", study_picture(study, datasets, list(results.values())))
        parent.log_json(table, "table.json")
        for file in TABLE_FILES:
            with directory.local_copy(file) as path:
                parent.log_file(Path(path))
    tracker.deliver(None)
    return StudyResult(directory, table)


def _registered(
    study: Study, cells: Sequence[Cell], results: Mapping[tuple[int, str], CellResult], site: Site
) -> list[dict[str, Any]]:
    """The registered detectors: of each data set the cell that is best on its validation images."""
    models = []
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    for dataset in datasets:
        scored = [
            (value, cell)
            for cell in cells
            if cell.dataset == dataset
            and (value := results[cell.row, dataset].seeds.get(cell.seed, {}).get(CHOICE)) is not None
        ]
        if not scored:
            say(f"{dataset}: nothing is registered, as no cell has a figure on validation images")
            continue
        value, best = max(scored, key=lambda each: each[0])
        assert best.target is not None
        own = "" if len(datasets) == 1 else f"-{re.sub(r'[^a-z0-9]+', '-', dataset.lower()).strip('-')}"
        model = registered_cell(best, f"{best.target.name}{own}", site)
        names = " ".join(name for name in study.rows[best.row].names if name != "-")
        models.append({"dataset": dataset, "row": names, "seed": best.seed, CHOICE: value, **model})
        say(f"{dataset}: {names}, seed {best.seed}, is {model['name']}@{model['version']}, {model['alias']}")
    return models


def _known(figures: Figures) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None}


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
