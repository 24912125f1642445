"""`tune thresholds` as a stage: stored maps in, curves and a config patch out; no map is remade."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import pyarrow as pa

from cluster.errors import UserError, nearest
from cluster.progress import progress
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.tracking import PipelineRun
from pipelines.boxes import PseudoBoxSettings
from training.project import Project
from tuning.space import Dimension, check_space, patch_text
from tuning.thresholds.choice import Chosen, StoredMaps, ThresholdSearch, choose
from tuning.thresholds.metrics import METRICS
from tuning.thresholds.objective import FEW_WEIGHT
from tuning.thresholds.rule import check_rule

OTHER_RULES = ("rule", "standardised", "hysteresis")
KEYS = (*(f"boxes.{name}" for name in PseudoBoxSettings.model_fields if name not in OTHER_RULES), FEW_WEIGHT)
SHOWN_TRIALS = 50  # trials that become MLflow runs; trials.parquet has all
PATCH = "patch.yaml"


def check_request(project: Project, space: Sequence[Dimension], metric: str | None) -> tuple[Dimension, ...]:
    """Refuse what is at fault before anything is read; returns the space as `check_space`.

    Raises:
        UserError: the boxes have another rule than the paper's, stored maps don't depend on a key, a value is
            out of range, or the metric is unknown.
    """
    check_rule(project.boxes)
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
    project: Project, request: ThresholdSearch, *, site: Site, corpus: Artifact, maps: Artifact
) -> Artifact:
    """Search thresholds against the truth that there is; the test split only judges.

    Writes `patch.yaml`, `thresholds.json`, `trials.parquet` and `thresholds.png`.

    Args:
        project: project whose `boxes`, `maps.kead`, `seed` are read.
        request: what is searched, and how long.
        site: workspace and tracking run.
        corpus, maps: artifacts of the two stages.

    Raises:
        UserError: see `choose`.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        cv2.setNumThreads(1)  # the pool's threads are the parallel part
        chosen = choose(project, request, StoredMaps.read(corpus.directory, maps.directory))
        _write(bench, chosen)
        bench.run.log_metrics({f"best_{name}": value for name, value in chosen.best.figures.items()})
        _children(bench, site.run, chosen)
        return chosen.report

    return ensure(
        "tune_thresholds",
        site=site,
        config={
            "boxes": project.boxes.deciding(),
            "seed": project.seed,
            "space": [dimension.text() for dimension in request.space],
            "metric": request.metric,
            "trials": None if request.exhaustive else request.trials,
        },
        inputs={"corpus": corpus, "maps": maps},
        body=body,
        revision=4,  # verdicts; the best of the picture's points is chosen
    )


def _write(bench: Workbench, chosen: Chosen) -> None:
    report, best = chosen.report, chosen.best
    comment = (
        f"Chosen by agssp tune thresholds: {report['metric']} {best.value:.4f} on {report['images']} images."
    )
    comment = " ".join([comment, *(verdict["sentence"] for verdict in report["verdicts"])])
    bench.directory.write(PATCH, patch_text(best.values, comment).encode())
    bench.directory.write("thresholds.png", chosen.picture)
    rows = [
        {
            "trial": number,
            **{key: str(value) for key, value in trial.values.items()},
            **trial.figures,
        }
        for number, trial in enumerate(chosen.trials)
    ]
    bench.directory.write_table("trials.parquet", pa.Table.from_pylist(rows))
    bench.directory.write_json("thresholds.json", dict(report))
    bench.directory.write_json("curves.json", dict(chosen.curves))
    for name in (PATCH, "thresholds.png", "trials.parquet"):
        with bench.directory.local_copy(name) as path:
            bench.run.log_file(path)


def _children(bench: Workbench, pipeline: PipelineRun, chosen: Chosen) -> None:
    """The best trials as runs below this one."""
    metric = chosen.report["metric"]
    ranked = sorted(enumerate(chosen.trials), key=lambda pair: -pair[1].value)[:SHOWN_TRIALS]
    with progress("thresholds: recording the best trials", len(ranked)) as bar:
        for number, trial in ranked:
            with pipeline.trial(f"trial {number}", parent=bench.run, config=trial.values) as run:
                run.log_metrics({metric: trial.value, **trial.figures})
            bar.advance()
