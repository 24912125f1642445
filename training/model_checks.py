"""Weights that a project names, tried before anything is written or started."""

from functools import cache, partial

from pipelines.banks import CLIP
from training.inputs import Goal, Needs, open_tracker
from training.models import Preprocessing
from training.project import Project
from training.starts import SCRATCH


def check_models(project: Project, goal: Goal = "run") -> None:
    """Refuse weights that are missing, damaged or of another architecture, and sizes that don't fit.

    Args:
        project: the config.
        goal: how far the command goes.

    Raises:
        UserError: the first fault found.
    """
    needs = Needs.of(project, goal)
    if needs.maps:
        from pipelines.encoder import weights_digest

        weights_digest(project.maps.encoder.model, project.maps.encoder.weights)
        if project.maps.method == "painted" and project.maps.painted.encoder != CLIP:
            from pipelines.banks import bank_digest

            bank_digest(project.maps.painted)
    backbone, section = project.backbone, project.finetune
    tracker = partial(open_tracker, project)
    if needs.backbone:
        if backbone.start == SCRATCH:
            _check_size(backbone.name, backbone.image_size)
        else:
            from training.agbp import started_backbone
            from training.starts import resolve_start

            start = resolve_start(backbone.start, backbone.name, tracker)
            started_backbone(backbone, start, project.seed)
    if needs.detector_start is not None:
        detector = project.detector
        size = Preprocessing(detector.image_size, "square")
        _check_start(needs.detector_start, detector.name, size, project)
    for word in (section.weights | section.given).values() if needs.labels else ():
        _check_start(word, section.name, section.preprocessing, project)


@cache  # building takes a second or two, and a study asks for each of its cells
def _check_size(name: str, side: int) -> None:
    """Refuse images that a backbone without a start can't take."""
    from training.agbp import BackboneSection, started_backbone

    started_backbone(BackboneSection(name=name, image_size=side), None, 0)


def _check_start(word: str, name: str, preprocessing: Preprocessing, project: Project) -> None:
    """Refuse a start that can't fill the detector `name`."""
    from training.starts import filled_detector, resolve_start

    start = resolve_start(word, name, partial(open_tracker, project))
    filled_detector(
        name,
        ("anomaly",),
        preprocessing,
        project.seed,
        state=start.state,
        metadata=start.metadata,
        source=f"The start {start.source}",
        whole=start.whole,
    )
