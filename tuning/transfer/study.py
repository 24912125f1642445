"""Runs a transfer study cell by cell; a cell is a fingerprinted stage, so the same command goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from cluster.progress import say
from cluster.stages import Artifact
from cluster.storage import Storage
from cluster.tracking import Run, Tracker
from tuning.study_folder import Refused, open_study, track_cell, track_table, unless_refused
from tuning.transfer.data_study import DataStudy
from tuning.transfer.picture import transfer_picture
from tuning.transfer.projects import DataSet, cell_count
from tuning.transfer.registering import register_best
from tuning.transfer.section import TransferPreset, TransferSection, transfer_paper
from tuning.transfer.stage import TransferCell, curve_of
from tuning.transfer.text import Group, Look, document, markdown


@dataclass(frozen=True)
class TransferResult:
    """Where a study's table lies, and what is in it."""

    directory: Storage
    table: Mapping[str, Any]


def run_transfer(
    preset_name: str,
    preset: TransferPreset,
    section: TransferSection,
    sets: Sequence[DataSet],
    *,
    registers: bool = False,
) -> TransferResult:
    """Run every cell; the table is written anew after each, so a killed study shows its part.

    Writes `table.json`, `table.md` and `curves.png`, which the study's tracking run has too; its children of
    the stage `cell` are the trainings, each with what it is as params and its figures.

    Args:
        preset_name, preset, section: name, preset and settings of the study.
        sets: its data sets.
        registers: whether the best model of every data set and task is registered, see `register_best`.

    Raises:
        UserError: the workspace or the tracking server is at fault.
    """
    groups = {
        (data.name, task, regime, start): Group(data.name, task, regime, start)
        for data, task, regime, start in product(sets, section.tasks, section.regimes, section.starts)
    }
    looks: list[Look] = []
    paper = transfer_paper()

    projects = [data.project for data in sets]
    with open_study("study transfer", preset_name, section.deciding(), projects) as opened:

        def write() -> dict[str, Any]:
            table = document(
                list(groups.values()),
                looks,
                paper,
                preset=preset_name,
                summary=preset.summary,
                reach=section.reach,
                seeds=section.seeds,
            )
            picture = transfer_picture(list(groups.values()))
            opened.write(table, {"table.md": markdown(table).encode(), "curves.png": picture})
            return table

        total, number = cell_count(section, sets), 0
        models: list[dict[str, Any]] = []
        tracked: list[tuple[DataStudy, Mapping[TransferCell, Artifact]]] = []
        for data in sets:
            study = DataStudy(data, section, opened.site)
            looks.append(study.look())
            cells: dict[TransferCell, Artifact] = {}
            for task, reason in study.lacking().items():
                say(f"transfer: {data.name}: {task} is not run: {reason}")
                for regime, start in product(section.regimes, section.starts):
                    key = (data.name, task, regime, start)
                    groups[key] = Group(*key, not_run=reason)
            for task, seed, regime, start in product(
                section.tasks, section.seeds, section.regimes, section.starts
            ):
                number += 1
                title = (
                    f"transfer: {number} of {total}, {data.name}: {task} from {start}, {regime}, seed {seed}"
                )
                key = (data.name, task, regime, start)
                if groups[key].not_run:
                    continue
                cell = TransferCell(task, start, regime, seed)
                trained = unless_refused(title, partial(study.train, cell))
                if isinstance(trained, Refused):  # e.g. a ResNet, and the regime needs attention
                    groups[key] = Group(*key, not_run=trained.reason)
                else:
                    cells[cell] = trained
                    groups[key].curves[seed] = curve_of(trained, task)
                    if (defects := trained.results["figures"].get("miou_defects")) is not None:
                        groups[key].defects[seed] = defects
                write()
            tracked.append((study, cells))
            if registers:
                models += register_best(projects[0].name, study, cells)
        if (parent := opened.site.run.run) is not None:  # else an earlier run has them
            for each, trainings in tracked:
                _track_cells(opened.tracker, parent, each, trainings)
        table = write() | ({"models": models} if registers else {})
        opened.write(table, {})
        track_table(opened, table, ("table.md", "curves.png"))
    return TransferResult(opened.directory, table)


def _track_cells(
    tracker: Tracker, parent: Run, study: DataStudy, cells: Mapping[TransferCell, Artifact]
) -> None:
    """A child of the study's run for each training, found or made, as a chart of runs compares them."""
    for cell, artifact in cells.items():
        results, start = artifact.results, study.section.starts[cell.start]
        params = {
            "data": study.data.name,
            **cell._asdict(),
            "backbone": start.backbone,
            "model": study.section.model(cell.task, start),
            "iterations": results["iterations"],
            "images": results["images"],
        }
        figures = {**results["figures"], "training_seconds": results["training_seconds"]}
        if results["score"] is not None:
            figures["score"] = results["score"]
        title = f"{study.data.name}: {cell.task} from {cell.start}, {cell.regime}, seed {cell.seed}"
        track_cell(tracker, parent, title, params, figures)
