"""What a study's cells would train, and about how long: timed training steps, multiplied."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.progress import say
from cluster.stages import digest
from training.project import Project
from training.starts import AGBP, AGSSP
from tuning.images_of import finetuning_images, pretraining_images
from tuning.search import step_seconds
from tuning.studies.plan import Cell

PROBE_SECONDS = 60.0  # after which no further model is timed
NOT_TRAINED = {"workspace", "name", "ray", "tracking", "scaling", "evaluate", "predict", "report", "finetune"}


@dataclass(frozen=True)
class PlannedTraining:
    """One training that at least one cell needs.

    Attributes:
        stage: `backbone`, `detector` or `finetune`.
        project: settings of the training.
        images: number of images of an epoch.
    """

    stage: str
    project: Project
    images: int

    @property
    def steps(self) -> float:
        """Images that all epochs learn from."""
        epochs: int = getattr(self.project, self.stage).loop.epochs
        return float(self.images * epochs)

    @property
    def model(self) -> tuple[str, str, str]:
        """What decides the time of a step."""
        section = getattr(self.project, self.stage)
        return self.stage, section.name, str(self.project.finetune.preprocessing.shape)


def planned(cells: Sequence[Cell]) -> list[PlannedTraining]:
    """The trainings of all cells that can be run, each once: a pretraining serves all its cells."""
    trainings: dict[Any, PlannedTraining] = {}
    for cell in cells:
        if cell.pretraining is None or cell.target is None:
            continue
        (start,) = cell.target.finetune.starts
        source, target = cell.pretraining.seeded(), cell.target.seeded()
        stages = []
        if start == AGBP or (start == AGSSP and source.detector.needs_backbone):
            stages.append(("backbone", NOT_TRAINED | {"boxes", "paint", "detector"}))
        if start == AGSSP:
            stages.append(("detector", NOT_TRAINED))
        for stage, left_out in stages:
            key = (stage, digest(source.model_dump(mode="json", exclude=left_out)))
            if key not in trainings:
                trainings[key] = PlannedTraining(stage, source, pretraining_images(source))
        images = finetuning_images(target)
        trainings[cell.row, cell.dataset, cell.seed] = PlannedTraining("finetune", target, images)
    return list(trainings.values())


def cost(trainings: Sequence[PlannedTraining]) -> Mapping[str, Any]:
    """Number of trainings by stage, and seconds of those whose model was timed within a minute; JSON-able."""
    stages = [each.stage for each in trainings]
    counts = {stage: stages.count(stage) for stage in ("backbone", "detector", "finetune")}
    seconds: dict[tuple[str, str, str], float] = {}
    began = time.monotonic()
    for each in trainings:
        if each.model not in seconds and time.monotonic() - began < PROBE_SECONDS:
            say(f"plan: timing a training step of {each.model[1]} ({each.stage})")
            seconds[each.model] = step_seconds(each.project, each.stage)
    timed = [each for each in trainings if each.model in seconds]
    total = sum(each.steps * seconds[each.model] / max(1, each.project.scaling.workers) for each in timed)
    return {"trainings": counts, "timed": len(timed), "seconds": total}
