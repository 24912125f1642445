"""A cell of a declared study: its stages made and measured, its detector registered."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.stages import Site
from training.export import register_detector
from training.pipeline import Pipeline
from training.project import Project
from training.starts import AGBP, AGSSP
from tuning.outcomes import measured
from tuning.studies.comparison import LEADING, TEST_BOXES
from tuning.studies.plan import Cell

Figures = dict[str, float | None]
CHOICE = "finetune.map50_95"  # by which a cell is registered: on validation images, never the test split


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
    pipelines = _pipelines(cell, site)
    target, start = pipelines.target, pipelines.start
    figures = {
        name: measured(name, target, start) if _takes_part(name, start, cell.pretraining) else None
        for name in metrics
    }
    if any(name in LEADING for name in metrics):
        figures[TEST_BOXES] = measured(TEST_BOXES, target, start)
    return figures


def registered_cell(cell: Cell, project: str, site: Site) -> dict[str, Any]:
    """Register a finished cell's detector, and what it was pretrained from, see `register_detector`.

    Args:
        cell: a cell that has been measured.
        project: name under which it is registered.
        site: workspace and the study's tracking run.

    Returns:
        `name`, `version`, `alias` and more of the version.
    """
    pretraining, target, start = _pipelines(cell, site)
    ancestors = target.ancestors(start)
    if target is not pretraining and start in (AGBP, AGSSP):
        ancestors = pretraining.ancestors(start) | {"labels": target.labelled}
    artifact = register_detector(
        project,
        site=site,
        detector_name=target.project.finetune.name,
        finetuned=target.finetuned(start),
        evaluated=target.evaluated(start),
        ancestors=ancestors,
    )
    return dict(artifact.results)


class _Pipelines(NamedTuple):
    """A cell's stages.

    Attributes:
        pretraining: what the start comes from.
        target: finetuning and evaluation, with the pretrained parts that they start from.
        start: the finetuning's start.
    """

    pretraining: Pipeline
    target: Pipeline
    start: str


def _pipelines(cell: Cell, site: Site) -> _Pipelines:
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
    return _Pipelines(pretraining, target, start)


def _takes_part(name: str, start: str, project: Project) -> bool:
    """Whether a start needs the stage of an outcome; to measure it would else be to train it for nothing."""
    stage = name.partition(".")[0]
    if stage == "backbone":
        return start == AGBP or (start == AGSSP and project.detector.needs_backbone)
    return stage != "detector" or start == AGSSP
