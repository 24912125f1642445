"""`tune thresholds` as a stage: stored maps in, curves and a config patch out; no map is remade."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import pyarrow as pa

from cluster.errors import UserError, nearest
from cluster.on_ray import machine_cpus
from cluster.progress import progress, say
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.boxes import PseudoBoxSettings
from pipelines.maps import PARTS
from training.project import Project
from tuning.space import Dimension, check_space, patch_text
from tuning.thresholds.curves import sensitivity, threshold_curves
from tuning.thresholds.judged_maps import read_stored_maps
from tuning.thresholds.metrics import METRICS
from tuning.thresholds.picture import threshold_picture
from tuning.thresholds.search import (
    FEW_WEIGHT,
    ThresholdObjective,
    Trial,
    check_metric,
    default_space,
    own_values,
    search,
)

KEYS = (*(f"boxes.{name}" for name in PseudoBoxSettings.model_fields), FEW_WEIGHT)
SHOWN_TRIALS = 50  # of the trials become runs of their own in MLflow; all are in trials.parquet
PATCH = "patch.yaml"


def check_request(project: Project, space: Sequence[Dimension], metric: str | None) -> tuple[Dimension, ...]:
    """Whatever of a request can be refused before anything is read; returns the space as `check_space`.

    Raises:
        UserError: a key that stored maps don't answer for, a value out of range, an unknown metric.
    """
    document = project.model_dump(exclude_unset=True)
    checked = check_space(space, Project, document) if space else ()
    for dimension in checked:
        if dimension.key not in KEYS:
            raise UserError(
                f"tune thresholds works on stored maps and can't search {dimension.key}; it searches "
                f"{', '.join(KEYS)}."
            )
    every = {name for names in METRICS.values() for name in names}
    if metric is not None and metric not in every:
        raise UserError(f'No stage produces a metric "{metric}" of thresholds; {nearest(metric, every)}')
    return checked


def tune_thresholds(
    project: Project,
    space: Sequence[Dimension],
    *,
    metric: str | None,
    trials: int,
    exhaustive: bool,
    workspace: Storage,
    pipeline: PipelineRun,
    corpus: Artifact,
    maps: Artifact,
) -> Artifact:
    """Search thresholds against whatever truth there is; the test split judges, and never chooses.

    Writes `patch.yaml`, `thresholds.json`, `trials.parquet` and `thresholds.png`.

    Args:
        project: of which `boxes`, `maps.kead`, `seed` are read.
        space: empty takes `default_space`.
        metric: None takes the truth's first.
        trials, exhaustive: see `search`.
        corpus, maps: artifacts.

    Raises:
        UserError: the metric can't be had of this truth; fusion weights without stored parts.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        cv2.setNumThreads(1)  # the pool's threads are the parallel part
        categories, kind = read_stored_maps(corpus.directory, maps.directory)
        chosen_metric = check_metric(metric, kind)
        stored = all(each.part_maps is not None for each in categories)
        if any(dimension.key == FEW_WEIGHT for dimension in space) and not stored:
            raise UserError(
                f"The stored maps don't hold {' and '.join(PARTS)}, which {FEW_WEIGHT} weighs; set "
                "maps.store_parts=true, or leave it out of the search."
            )
        kead = project.maps.kead
        settings = project.boxes.settings
        with ThreadPoolExecutor(machine_cpus()) as pool:
            objective = ThresholdObjective(
                categories,
                settings,
                chosen_metric,
                score_share=0.5 if kead.score == "released" else 1.0,
                few_weight=kead.few_weight,
                pool=pool,
            )
            searched = tuple(space) or default_space(categories, settings)
            say(_told(kind, chosen_metric, sum(len(each.judged) for each in categories), stored))
            with progress("thresholds: trying", None if exhaustive else trials) as bar:
                done = search(
                    objective,
                    searched,
                    trials=trials,
                    seed=project.seed,
                    exhaustive=exhaustive,
                    on_trial=lambda trial: bar.advance(note=f"{chosen_metric} {trial.value:.4f}"),
                )
            best = max(done, key=lambda trial: trial.value)
            curves = threshold_curves(objective, {})
            knobs = sensitivity(objective, best.values, searched)
            own = own_values(objective, searched) or {}
            held_out = any(len(each.held_out) for each in categories)
            report = {
                "truth": kind,
                "metric": chosen_metric,
                "images": sum(len(each.judged) for each in categories),
                "categories": len(categories),
                "trials": len(done),
                "fusion_searched": any(dimension.key == FEW_WEIGHT for dimension in searched),
                "space": [dimension.text() for dimension in searched],
                "project": objective.trial(own).figures,
                "chosen": best.values,
                "best": best.figures,
                "fig7": curves.best(),
                "held_out": {
                    "project": objective.measure(own, held_out=True),
                    "best": objective.measure(best.values, held_out=True),
                }
                if held_out
                else None,
                "notes": notes(kind, stored),
            }
        _write(bench, report, done, best, threshold_picture(curves, knobs, best.values))
        bench.directory.write_json("curves.json", {"fig7": curves.document(), "sensitivity": knobs})
        bench.run.log_metrics({f"best_{name}": value for name, value in best.figures.items()})
        _children(bench, pipeline, done, chosen_metric)
        return report

    return ensure(
        "tune_thresholds",
        workspace=workspace,
        pipeline=pipeline,
        config={
            "boxes": project.boxes.model_dump(mode="json"),
            "seed": project.seed,
            "space": [dimension.text() for dimension in space],
            "metric": metric,
            "trials": None if exhaustive else trials,
        },
        inputs={"corpus": corpus, "maps": maps},
        body=body,
    )


def notes(kind: str, parts: bool) -> list[str]:
    """What must be said with the result."""
    said = ["Chosen on labelled images of the training split; the test split only judges."]
    if kind == "none":
        said = [
            "No labelled defect: the values are chosen by plausibility (masks that change little with T, no "
            "boxes on normal references, not too many pixels), which knows nothing of what is right. Look at "
            "the boxes before you use them."
        ]
    if not parts:
        said.append(
            f"{FEW_WEIGHT} was not searched: these maps are stored without their parts "
            "(maps.store_parts=true keeps them)."
        )
    return said


def _told(kind: str, metric: str, images: int, parts: bool) -> str:
    truth = {"masks": "pixel masks", "boxes": "boxes", "none": "no truth"}[kind]
    return f"thresholds: {images} stored maps against {truth} by {metric}" + (", with parts" if parts else "")


def _write(
    bench: Workbench, report: Mapping[str, Any], done: Sequence[Trial], best: Trial, picture: bytes
) -> None:
    told = (
        f"Chosen by agssp tune thresholds: {report['metric']} {best.value:.4f} on {report['images']} images."
    )
    bench.directory.write(PATCH, patch_text(best.values, told).encode())
    bench.directory.write("thresholds.png", picture)
    rows = [
        {
            "trial": number,
            **{key: str(value) for key, value in trial.values.items()},
            **trial.figures,
        }
        for number, trial in enumerate(done)
    ]
    bench.directory.write_table("trials.parquet", pa.Table.from_pylist(rows))
    bench.directory.write_json("thresholds.json", dict(report))
    for name in (PATCH, "thresholds.png", "trials.parquet"):
        with bench.directory.local_copy(name) as path:
            bench.run.log_file(path)


def _children(bench: Workbench, pipeline: PipelineRun, done: Sequence[Trial], metric: str) -> None:
    """The best trials as runs below this one."""
    ranked = sorted(enumerate(done), key=lambda pair: -pair[1].value)[:SHOWN_TRIALS]
    with progress("thresholds: recording the best trials", len(ranked)) as bar:
        for number, trial in ranked:
            with pipeline.trial(f"trial {number}", parent=bench.run, config=trial.values) as run:
                run.log_metrics({metric: trial.value, **trial.figures})
            bar.advance()
