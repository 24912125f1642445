"""The best model of each task of a transfer study in the model registry."""

from collections.abc import Mapping
from typing import Any

from cluster.progress import say
from cluster.registry import register
from cluster.stages import Artifact, Workbench, ensure
from tuning.transfer.data_study import DataStudy
from tuning.transfer.stage import MODEL_FILE, TransferCell

ALIAS = "candidate"
FOLDER = "weights"
CHOSEN_BY = "score on the test split"  # there is no other: what is registered looks better than it is


def register_best(
    project: str, study: DataStudy, cells: Mapping[TransferCell, Artifact]
) -> list[dict[str, Any]]:
    """Register the best model of every task as `PROJECT-transfer-TASK-MODEL`, alias `candidate`.

    The same model again gets no second version.

    Args:
        project: the project's name.
        study: the data set.
        cells: its trainings.

    Returns:
        For each task with a score: data, task, start, regime, name, version, alias.
    """
    models = []
    for task in study.section.tasks:
        scored = [
            (cell, artifact)
            for cell, artifact in cells.items()
            if cell.task == task and artifact.results["score"] is not None
        ]
        if scored:
            cell, best = max(scored, key=lambda each: float(each[1].results["score"]))
            model = _registered(project, study, cell, best)
            models.append(model)
            say(f"transfer: {task} on {study.data.name}: {model['name']}@{model['version']}, {ALIAS}")
    return models


def _registered(project: str, study: DataStudy, cell: TransferCell, best: Artifact) -> dict[str, Any]:
    model = study.section.model(cell.task, study.section.starts[cell.start])
    name = f"{project}-transfer-{cell.task}-{model.replace('/', '-')}"

    def body(bench: Workbench) -> Mapping[str, Any]:
        with best.directory.local_copy(MODEL_FILE) as path:
            bench.run.log_file(path, FOLDER)
        bench.run.log_metrics({"score": float(best.results["score"])})
        version = register(
            bench.run,
            name=name,
            folder=FOLDER,
            tags={
                "fingerprint": best.fingerprint,
                "objects": study.objects.fingerprint,
                "corpus": study.corpus.fingerprint,
                "start": cell.start,
                "regime": cell.regime,
                "classes": ", ".join(best.results["class_names"]),
                "score": f"{best.results['score']:.4f}",
                "chosen_by": CHOSEN_BY,
            },
            alias=ALIAS,
            description=f"{model} on {study.data.name} from {cell.start}, {cell.regime}",
        )
        fixed = {"data": study.data.name, "task": cell.task, "start": cell.start, "regime": cell.regime}
        return {**fixed, "name": name, "version": version, "alias": ALIAS}

    artifact = ensure(
        "register",
        site=study.pipeline.site,
        config={"name": name},
        inputs={"trained": best, "objects": study.objects, "corpus": study.corpus},
        body=body,
    )
    return dict(artifact.results)
