"""What a study's cells would train, and how long like trainings took in the workspace. No torch, no Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.on_ray import machine_cpus
from cluster.stages import digest
from training.detection import DRAWN_EACH
from training.project import Project
from training.starts import AGBP, AGSSP
from tuning.finished import finished_trainings
from tuning.image_counts import ImageCounts
from tuning.pace import Learnt, core_seconds
from tuning.studies.plan import Cell

STAGES = ("backbone", "detector", "finetune")
NOT_TRAINED = {"workspace", "name", "ray", "tracking", "scaling", "evaluate", "predict", "report", "finetune"}


@dataclass(frozen=True)
class PlannedTraining:
    """One training that at least one cell needs.

    Attributes:
        stage: one of `STAGES`.
        model: name of the model.
        epochs: number of epochs; of a further round of finetuning so many more as it has more images.
        learnt: images and their pixels; None where nobody has listed them.
    """

    stage: str
    model: str
    epochs: int
    learnt: Learnt | None = None


def planned(cells: Sequence[Cell]) -> list[PlannedTraining]:
    """The trainings of all cells that can be run, each once: a pretraining serves all its cells."""
    trainings: dict[Any, PlannedTraining] = {}
    counts = ImageCounts()
    for cell in cells:
        if cell.pretraining is None or cell.target is None:
            continue
        (start,) = cell.target.finetune.starts
        source = cell.pretraining
        if start == AGBP or (start == AGSSP and source.detector.needs_backbone):
            left_out = NOT_TRAINED | {"boxes", "paint", "detector"}
            trainings["backbone", _settings(source, left_out)] = _training("backbone", source, counts)
        for number in range(1, source.detector.rounds + 1 if start == AGSSP else 1):
            # The first round of two is that of one.
            section = source.detector.model_copy(update={"rounds": number})
            settings = _settings(source.model_copy(update={"detector": section}), NOT_TRAINED)
            trainings["detector", settings] = _training("detector", source, counts)
        for number in range(1, cell.target.finetune.rounds + 1):
            times = 1 if number == 1 else 1 + DRAWN_EACH
            key = (cell.row, cell.dataset, cell.seed, number)
            trainings[key] = _training("finetune", cell.target, counts, times)
    return list(trainings.values())


def cost(trainings: Sequence[PlannedTraining], workspace: str) -> Mapping[str, Any]:
    """Number of trainings by stage, and their seconds; JSON-able.

    `timed` are those like which some are finished, and `seconds` their time; `estimated` those of the others
    whose model was measured elsewhere, and `estimated_seconds` their time on one quiet CPU core.

    Args:
        trainings: see `planned`.
        workspace: workspace whose finished trainings tell the seconds of an epoch, by stage and model.

    Raises:
        UserError: see `finished_trainings`.
    """
    stages = [training.stage for training in trainings]
    epoch_seconds = _epoch_seconds(workspace)
    known = [each for each in trainings if (each.stage, each.model) in epoch_seconds]
    others = [each for each in trainings if (each.stage, each.model) not in epoch_seconds and each.learnt]
    guesses = [core_seconds(each.model, each.learnt) for each in others if each.learnt is not None]
    estimates = [seconds for seconds in guesses if seconds is not None]
    return {
        "trainings": {stage: stages.count(stage) for stage in STAGES},
        "timed": len(known),
        "seconds": sum(each.epochs * epoch_seconds[each.stage, each.model] for each in known),
        "estimated": len(estimates),
        "estimated_seconds": round(sum(estimates)),
        "cores": machine_cpus(),
    }


def _training(stage: str, project: Project, counts: ImageCounts, times: int = 1) -> PlannedTraining:
    section = getattr(project, stage)
    epochs = times * section.loop.epochs
    images = counts.learnt(stage, project)
    size = section.image_size
    pixels = size**2 if isinstance(size, int) else size[0] * size[1]
    learnt = None if images is None else Learnt(images * epochs, pixels)
    return PlannedTraining(stage, section.name, epochs, learnt)


def _settings(project: Project, left_out: set[str]) -> str:
    return digest(project.model_dump(mode="json", exclude=left_out))


def _epoch_seconds(workspace: str) -> dict[tuple[str, str], float]:
    """Mean seconds of an epoch, by stage and model, of every finished training."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for stage in STAGES:
        for training in finished_trainings(workspace, stage):
            key = (stage, str(training.config.get("name")))
            seconds.setdefault(key, []).append(training.seconds / max(1, training.epochs))
    return {key: sum(values) / len(values) for key, values in seconds.items()}
