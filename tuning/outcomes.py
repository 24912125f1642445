"""Figures of a finished pipeline by name, `STAGE.FIGURE`, for studies and searches."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.errors import UserError, nearest

if TYPE_CHECKING:  # the commands' help needs the names alone, in no time
    from cluster.stages import Artifact
    from training.pipeline import Pipeline


@dataclass(frozen=True)
class Outcome:
    """One figure.

    Attributes:
        title: head of its column.
        percent: whether it is shown as percent, as the papers do.
        digits: digits after the point.
        higher: whether more is better; None for a figure that is only reported.
        chooses: whether a search may choose by it, as it doesn't look at the test split.
    """

    title: str
    percent: bool = False
    digits: int = 1
    higher: bool | None = None
    chooses: bool = False


OUTCOMES: Mapping[str, Outcome] = {
    "evaluate.map50": Outcome("mAP@.5", percent=True, higher=True),
    "evaluate.map50_95": Outcome("mAP@.5:.95", percent=True, higher=True),
    "evaluate.boxes": Outcome("test boxes", digits=0),
    "evaluate.parameters": Outcome("parameters", digits=0),
    "evaluate.images_per_s": Outcome("images/s"),
    "evaluate.fps": Outcome("FPS"),
    "evaluate.gpu_mib": Outcome("GPU MiB", digits=0),
    "evaluate.cpu_mib": Outcome("CPU MiB", digits=0),
    "finetune.map50": Outcome("mAP@.5 (validation)", percent=True, higher=True, chooses=True),
    "finetune.map50_95": Outcome("mAP@.5:.95 (validation)", percent=True, higher=True, chooses=True),
    "finetune.training_seconds": Outcome("finetuning s", digits=0),
    "detector.map50": Outcome("mAP@.5 (pseudo-boxes)", percent=True, higher=True, chooses=True),
    "detector.map50_95": Outcome("mAP@.5:.95 (pseudo-boxes)", percent=True, higher=True, chooses=True),
    "detector.training_seconds": Outcome("detector s", digits=0),
    "backbone.similarity": Outcome("attention similarity", digits=3, higher=True, chooses=True),
    "backbone.correlation": Outcome("attention correlation", digits=3, higher=True, chooses=True),
    "backbone.training_seconds": Outcome("backbone s", digits=0),
}


MEMORY = ("gpu_mib", "cpu_mib")  # of `peak_memory_mib`, by the device that it was measured on


def check_outcome(name: str, stages: tuple[str, ...] | None = None) -> Outcome:
    """The figure of a name; with `stages`, a search over these stages must be allowed to choose by it.

    Raises:
        UserError: no stage produces it, or no search may choose by it.
    """
    valid = [key for key, row in OUTCOMES.items() if stages is None or (row.chooses and _of(key) in stages)]
    if name in valid:
        return OUTCOMES[name]
    if name in OUTCOMES and _of(name) == "evaluate":
        raise UserError(
            f"{name} is measured on the test split, which no search may choose by; valid: {', '.join(valid)}."
        )
    raise UserError(f'No stage here produces a metric "{name}"; {nearest(name, valid)}')


def _of(name: str) -> str:
    return name.partition(".")[0]


def artifact_of(name: str, pipeline: "Pipeline", start: str) -> "Artifact":
    """The artifact of the stage that gives an outcome; made where it is absent.

    Raises:
        KeyError: the stage of the name is none that gives outcomes.
    """
    stage = _of(name)
    if stage == "evaluate":
        return pipeline.evaluated(start)
    if stage == "finetune":
        return pipeline.finetuned(start)
    return {"detector": lambda: pipeline.detector, "backbone": lambda: pipeline.backbone}[stage]()


def _memory(results: Mapping[str, Any], *, on_cpu: bool) -> float | None:
    """The peak of one pass, where it was measured on a device of that kind."""
    peak, device = results.get("peak_memory_mib"), results.get("device")
    if peak is None or device is None or str(device).startswith("CPU") != on_cpu:
        return None
    return float(peak)


def at_kept_epoch(rows: Iterable[Mapping[str, Any]], figure: str, best_metric: str | None) -> float | None:
    """A training's figure at the epoch whose weights it keeps; None where it was never measured.

    That epoch is the first with the greatest `best_metric`, whichever figure is asked for, and without one
    the last: a figure that was higher in another epoch is not that of the weights.

    Args:
        rows: metrics of the epochs, in order; those without a figure are passed over.
        figure: name of the figure.
        best_metric: `loop.best_metric` of the training.
    """
    measured_rows = [row for row in rows if row.get(figure) is not None and row.get("epoch") != 0]
    if not measured_rows:  # epoch 0 is before the first step, and never kept
        return None
    ranked = [row for row in measured_rows if best_metric is not None and _known(row.get(best_metric))]
    kept = max(ranked, key=lambda row: float(row[str(best_metric)]), default=measured_rows[-1])
    return float(kept[figure])


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def measured(name: str, pipeline: "Pipeline", start: str) -> float | None:
    """A figure; None where its stage doesn't give it (no held-out image with a box, say).

    A training's validation metrics are those of the epoch whose weights it keeps, see `at_kept_epoch`.
    """
    artifact, key = artifact_of(name, pipeline, start), name.partition(".")[2]
    if OUTCOMES[name].chooses:
        rows = artifact.directory.read_table("history.parquet").to_pylist()
        return at_kept_epoch(rows, key, getattr(pipeline.project, _of(name)).loop.best_metric)
    if key in MEMORY:
        return _memory(artifact.results, on_cpu=key == "cpu_mib")
    value = artifact.results.get(key)
    return None if value is None else float(value)
