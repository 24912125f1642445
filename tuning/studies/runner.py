"""Runs a declared study cell by cell; every cell is made of fingerprinted stages, so nothing is run twice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.config import Section, merge, validate
from cluster.errors import UserError, nearest
from cluster.on_ray import ray_session
from cluster.progress import say
from cluster.stages import Site, digest
from cluster.storage import Storage
from cluster.tracking import PipelineRun, Tracker, ending
from training.opening import check_project
from training.pipeline import Pipeline
from training.project import Project
from training.starts import AGBP, AGSSP
from tuning.outcomes import measured
from tuning.studies.study import CellResult, Preset, Study, selected_rows, with_data
from tuning.studies.text import document, markdown

OWN_IMAGES = ("corpus", "generate")  # sections that decide which images there are


@dataclass(frozen=True)
class Cell:
    """One training to run, or the reason for not running it.

    Attributes:
        row, dataset, seed: which.
        pretraining: project whose corpus is pretrained on; None where there is nothing to run.
        target: project whose corpus is finetuned and measured on; the same unless the dataset has its own.
        not_run: reason.
    """

    row: int
    dataset: str
    seed: int
    pretraining: Project | None = None
    target: Project | None = None
    not_run: str | None = None

    def document(self, study: Study) -> dict[str, Any]:
        """JSON-able, in short."""
        names = study.rows[self.row].names
        return {"names": names, "dataset": self.dataset, "seed": self.seed, "not_run": self.not_run}


def check_preset(study: Study, name: str) -> Preset:
    """The preset of a name.

    Raises:
        UserError: there is none.
    """
    if name not in study.presets:
        raise UserError(f'The study has no preset "{name}"; {nearest(name, study.presets)}')
    return study.presets[name]


def plan_cells(
    study: Study,
    preset_name: str,
    words: Mapping[str, Any],
    data: Mapping[str, Mapping[str, Any]],
    *,
    seeds: Sequence[int] | None,
    only: Sequence[str],
) -> list[Cell]:
    """Every cell with its projects, checked, or with the reason why it can't be run. Nothing is started.

    Args:
        study, preset_name: what is declared.
        words: the user's own settings, over the preset's and under a row's.
        data: the user's datasets by name.
        seeds: instead of the preset's.
        only: see `selected_rows`.

    Raises:
        UserError: no such preset, the user's own settings are at fault, or `only` leaves no row.
    """
    preset = check_preset(study, preset_name)
    validate(Project, _over(preset.base, words), "Config")
    own = _has_images(words)
    rows = selected_rows(study, only)
    if not rows:
        raise UserError(f"No row of the study has {' and '.join(only)} in its names; look at --plan.")
    cells = []
    for declared, dataset in with_data(preset, data).items():
        has = dataset is not None and _has_images(dataset)
        lacking = (
            dataset is None or (not has and "corpus" in dataset) or (own and has and declared not in data)
        )
        # The preset's name of its own images would be wrong for the user's.
        name = str(words.get("name", "your images")) if own and dataset == {} else declared
        for place in rows:
            for seed in seeds or preset.seeds:
                fixed = (place, name, seed)
                row = study.rows[place]
                if row.start is None:
                    cells.append(Cell(*fixed, not_run=row.not_run))
                elif row.model is not None and row.model not in preset.models:
                    cells.append(Cell(*fixed, not_run=f"the preset has no model for {row.model}"))
                elif dataset is None or lacking:
                    cells.append(Cell(*fixed, not_run=f'give the images of "{name}" in --data FILE'))
                else:
                    model = preset.models.get(row.model or "", {})
                    base = _over(merge(preset.base, model), words)
                    start = preset.starts.get(row.start, row.start)
                    config = merge(row.config, row.by_preset.get(preset_name, {}))
                    config = merge(config, {"seed": seed, "finetune": {"starts": [start]}})
                    cells.append(_cell(fixed, base, config, dataset))
    return cells


def _cell(
    fixed: tuple[int, str, int],
    base: Mapping[str, Any],
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
) -> Cell:
    # The dataset's finetuning settings count for both; its images for the target alone.
    own = _has_images(dataset)
    settings = {key: value for key, value in dataset.items() if not (own and key in OWN_IMAGES)}
    source = merge(merge(base, config), settings)
    try:
        pretraining = validate(Project, source, "The cell")
        target = pretraining
        if own:
            target = validate(Project, _over(source, dataset), "The cell")
        for project in {id(each): each for each in (pretraining, target)}.values():
            check_project(project)
    except UserError as error:
        return Cell(*fixed, not_run=str(error).removeprefix("The cell: "))
    return Cell(*fixed, pretraining=pretraining, target=target)


def _has_images(config: Mapping[str, Any]) -> bool:
    return bool(
        config.get("generate") or any((config.get("corpus") or {}).get(k) for k in ("root", "sources"))
    )


def _over(base: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Both merged; where `config` names images, those of `base` go."""
    kept = {key: value for key, value in base.items() if not (_has_images(config) and key in OWN_IMAGES)}
    return merge(kept, config)


Figures = dict[str, float | None]
Measure = Callable[[Cell, Sequence[str], Site], Figures]


def measured_cell(cell: Cell, metrics: Sequence[str], site: Site) -> Figures:
    """The metrics of a cell, whose stages are made or found.

    Args:
        cell: that can be run.
        metrics: outcomes, see `tuning/outcomes.py`.
        site: workspace and the cell's tracking run.

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
    return {name: measured(name, target, start) for name in metrics}


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
        name: of the study.
        study, preset, cells: from `plan_cells`.
        project: of which `workspace`, `tracking`, `ray` and `name` are read.
        measure: gives a cell's figures.

    Raises:
        UserError: workspace or tracking server at fault.
    """
    workspace = Storage.open(project.workspace)
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    directory = workspace.at("study", f"{name}-{_key(preset, cells)[:16]}")
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    found: dict[tuple[int, str], CellResult] = {}

    def write() -> dict[str, Any]:
        table = document(study, preset, datasets, list(found.values()))
        directory.write_json("table.json", table)
        directory.write("table.md", markdown(study, preset, datasets, list(found.values())).encode())
        return table

    tags = {"agssp.project": project.name, "agssp.command": f"study {name}", "agssp.preset": preset}
    parent = tracker.create_run(f"{project.name}: study {name}", tags)
    with ray_session(project.ray), ending(lambda: parent):
        for number, cell in enumerate(cells, start=1):
            result = found.setdefault((cell.row, cell.dataset), CellResult(cell.row, cell.dataset))
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
    """Record a cell's figures where something was made, not only found."""
    if run.run is not None:
        names = dict(zip(study.columns, study.rows[cell.row].names, strict=True))
        run.run.log_params({**names, "dataset": cell.dataset, "seed": cell.seed})
        run.run.log_metrics({name: value for name, value in figures.items() if value is not None})


def _title(study: Study, cell: Cell) -> str:
    names = " ".join(name for name in study.rows[cell.row].names if name != "-")
    return f"{names} on {cell.dataset}, seed {cell.seed}"


def _key(preset: str, cells: Sequence[Cell]) -> str:
    """Digest of what is run, so that other settings get a table of their own."""

    def shown(project: Section | None) -> Any:
        left_out = {"workspace", "ray", "tracking", "scaling"}
        return None if project is None else project.model_dump(mode="json", exclude=left_out)

    return digest(
        [preset, [[c.row, c.dataset, c.seed, shown(c.pretraining), shown(c.target)] for c in cells]]
    )
