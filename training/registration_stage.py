"""The last stage: the finetuned detector in the model registry, with its whole lineage."""

from collections.abc import Mapping
from typing import Any

from cluster.registry import register
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from training.detector_training import WEIGHTS_FILE

ALIAS = "candidate"
FOLDER = "weights"


def register_detector(
    project: str,
    *,
    workspace: Storage,
    pipeline: PipelineRun,
    detector_name: str,
    finetuned: Artifact,
    evaluated: Artifact,
    ancestors: Mapping[str, Artifact],
) -> Artifact:
    """Register a finetuned detector as `PROJECT-finetune-ARCHITECTURE`, alias `candidate`.

    Args:
        project: its name.
        detector_name: architecture.
        finetuned, evaluated: the detector and its figures.
        ancestors: every stage before, by name; their fingerprints become tags.
    """
    name = f"{project}-finetune-{detector_name}"

    def body(bench: Workbench) -> Mapping[str, Any]:
        with finetuned.directory.local_copy(WEIGHTS_FILE) as path:
            bench.run.log_file(path, FOLDER)
        figures = {key: float(evaluated.results[key]) for key in ("map50", "map50_95")}
        bench.run.log_metrics(figures)
        tags = {
            "fingerprint": finetuned.fingerprint,
            "start": str(finetuned.results["start"]),
            "classes": ", ".join(finetuned.results["class_names"]),
            "code_version": str(finetuned.record["versions"]["agssp"]),
            "finetune_run_id": str(finetuned.record["mlflow_run_id"]),
            **{key: f"{value:.4f}" for key, value in figures.items()},
            **{stage: artifact.fingerprint for stage, artifact in ancestors.items()},
        }
        version = register(
            bench.run,
            name=name,
            folder=FOLDER,
            tags=tags,
            alias=ALIAS,
            description=f"{detector_name} finetuned from {finetuned.results['start']} for {project}",
        )
        return {"name": name, "version": version, "alias": ALIAS, "start": finetuned.results["start"]}

    return ensure(
        "register",
        workspace=workspace,
        pipeline=pipeline,
        config={"name": name},
        inputs={"finetuned": finetuned, "evaluated": evaluated, **ancestors},
        body=body,
    )
