"""Runs a transfer study cell by cell; a cell is a fingerprinted stage, so the same command goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from cluster.errors import UserError
from cluster.on_ray import ray_session
from cluster.progress import say
from cluster.registry import register
from cluster.stages import Artifact, Site
from cluster.storage import Storage, no_space, workspace_faults
from cluster.tracking import PipelineRun, Tracker
from tuning.study_folder import TABLE_FILE, table_key, track_table
from tuning.transfer.data_study import DataStudy
from tuning.transfer.picture import transfer_picture
from tuning.transfer.projects import DataSet, cell_count
from tuning.transfer.section import TransferPreset, TransferSection, transfer_paper
from tuning.transfer.stage import MODEL_FILE, TransferCell, curve_of
from tuning.transfer.text import Group, Look, document, markdown

ALIAS = "candidate"
FOLDER = "weights"


@dataclass(frozen=True)
class TransferResult:
    """Where a study's table lies, and what is in it."""

    directory: Storage
    table: Mapping[str, Any]


def run_transfer(
    preset_name: str, preset: TransferPreset, section: TransferSection, sets: Sequence[DataSet]
) -> TransferResult:
    """Run every cell; the table is written anew after each, so a killed study shows its part.

    Writes `table.json`, `table.md` and `curves.png`; the best model of every data set and task is registered
    as `PROJECT-transfer-TASK-MODEL`.

    Raises:
        UserError: the workspace or the tracking server is at fault.
    """
    project = sets[0].project
    workspace = Storage.open(project.workspace)
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    digest = table_key(section.deciding(), [data.project for data in sets])
    directory = workspace.at("study", f"transfer-{digest[:16]}")
    groups = {
        (data.name, task, regime, start): Group(data.name, task, regime, start)
        for data, task, regime, start in product(sets, section.tasks, section.regimes, section.starts)
    }
    looks: list[Look] = []
    paper = transfer_paper()

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
        directory.write_json(TABLE_FILE, table)
        directory.write("table.md", markdown(table).encode())
        directory.write("curves.png", transfer_picture(list(groups.values())))
        return table

    tags = {"agssp.project": project.name, "agssp.command": "study transfer", "agssp.preset": preset_name}
    with (
        workspace_faults(workspace),
        ray_session(project.ray),
        tracker.pipeline(f"{project.name}: study transfer", tags) as run,
    ):
        total, number = cell_count(section, sets), 0
        for data in sets:
            study = DataStudy(data, section, Site(workspace, run))
            looks.append(study.look())
            cells: dict[TransferCell, Artifact] = {}
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
                say(title)
                try:
                    cell = TransferCell(task, start, regime, seed)
                    trained = study.train(cell)
                except UserError as error:  # e.g. boxes alone, and the task needs masks
                    if no_space(error):  # the next cell has none either
                        raise
                    say(f"{title}: not run: {error}")
                    groups[key] = Group(*key, not_run=str(error))
                else:
                    cells[cell] = trained
                    groups[key].curves[seed] = curve_of(trained, task)
                write()
            _register_best(project.name, study, cells, run)
        table = write()
        track_table(run, directory, table, ("table.md", "curves.png"))
    return TransferResult(directory, table)


def _register_best(
    project: str, study: DataStudy, cells: Mapping[TransferCell, Artifact], run: PipelineRun
) -> None:
    """Register the best model of every task, as detectors are registered."""
    section, data = study.section, study.data
    for task in section.tasks:
        of_task = [artifact for cell, artifact in cells.items() if cell.task == task]
        scored = [artifact for artifact in of_task if artifact.results["score"] is not None]
        if not scored:
            continue
        best = max(scored, key=lambda artifact: float(artifact.results["score"]))
        model = section.model(task, section.starts[best.results["start"]])
        with run.stage("register", config={"data": data.name, "task": task}, tags={}) as record:
            with best.directory.local_copy(MODEL_FILE) as path:
                record.log_file(path, FOLDER)
            record.log_metrics({"score": float(best.results["score"])})
            version = register(
                record,
                name=f"{project}-transfer-{task}-{model.replace('/', '-')}",
                folder=FOLDER,
                tags={
                    "fingerprint": best.fingerprint,
                    "objects": study.objects.fingerprint,
                    "corpus": study.corpus.fingerprint,
                    "start": str(best.results["start"]),
                    "regime": str(best.results["regime"]),
                    "classes": ", ".join(best.results["class_names"]),
                    "score": f"{best.results['score']:.4f}",
                },
                alias=ALIAS,
                description=f"{model} on {data.name} from {best.results['start']}, {best.results['regime']}",
            )
        say(f"transfer: {task} on {data.name}: registered, version {version}, alias {ALIAS}")
