"""What a gain study would run, counted; nothing is read but lists of files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from training.detection import DRAWN_EACH
from tuning.gain.projects import GainSet
from tuning.gain.section import CEILING, Arm, GainSection
from tuning.pace import Learnt, core_seconds


@dataclass(frozen=True)
class Work:
    """Trainings of a data set.

    Attributes:
        backbones, detectors, finetunings: their numbers.
        images: images that all of them learn from, each counted once an epoch; None without a listing.
        minutes: on one quiet CPU core, see `tuning.pace`; None for a model unmeasured or no listing.
    """

    backbones: int
    detectors: int
    finetunings: int
    images: int | None
    minutes: float | None

    @property
    def trainings(self) -> int:
        """All of them."""
        return self.backbones + self.detectors + self.finetunings


def work_of(section: GainSection, data: GainSet) -> Work:
    """The trainings of one data set; one that several arms share is counted once."""
    arms = [arm for arm in section.arms if arm.learnt not in data.not_run]
    backbones = {arm.start for arm in arms if section.pretrains_backbone(arm)}
    detectors = {  # the first round of two is that of one
        (arm.start, arm.source, number)
        for arm in arms
        if arm.source is not None
        for number in range(1, arm.rounds + 1)
    }
    seeds = len(section.seeds)
    images = minutes = None
    parts = list(_parts(data, arms, len(backbones), [source for _, source, _ in detectors]))
    if parts:
        images = round(seeds * sum(learnt.images for _, learnt in parts))
        seconds = [known for part in parts if (known := core_seconds(*part)) is not None]
        if len(seconds) == len(parts):
            minutes = seeds * sum(seconds) / 60
    finetunings = {  # the first round of two is that of one
        arm._replace(finetune_rounds=number) for arm in arms for number in range(1, arm.finetune_rounds + 1)
    }
    return Work(seeds * len(backbones), seeds * len(detectors), seeds * len(finetunings), images, minutes)


def _parts(
    data: GainSet, arms: Sequence[Arm], backbones: int, sources: Sequence[str | None]
) -> Iterator[tuple[str, Learnt]]:
    """What one seed's trainings learn from, each with its model; nothing where no listing told."""
    if data.images is None or data.labelled is None or data.annotated is None:
        return
    project = data.project
    finetune, section = project.finetune, project.corpus
    labelled = data.labelled * (1 - section.test_share)
    pretraining = data.images - data.labelled * section.test_share
    backbone, detector = project.backbone, project.detector
    if backbones:
        seen = backbones * pretraining * backbone.loop.epochs
        yield backbone.name, Learnt(seen, backbone.image_size**2, backbones)
    for source in sources:
        known = labelled if source == CEILING else pretraining
        yield detector.name, Learnt(known * detector.loop.epochs, detector.image_size**2)
    size = finetune.image_size
    pixels = size**2 if isinstance(size, int) else size[0] * size[1]
    annotated = data.annotated * (1 - section.test_share)
    for arm in arms:
        chosen = annotated if arm.limit is None else min(arm.limit, annotated)
        each = min(chosen / (1 - finetune.background_share), labelled)
        if arm.finetune_rounds > 1:  # a further round alone; those before are other arms'
            each += min(DRAWN_EACH * each, pretraining - each)
        yield finetune.name, Learnt(each * arm.epochs, pixels)


def gain_plan(section: GainSection, sets: Sequence[GainSet]) -> dict[str, Any]:
    """What would be run, JSON-able."""
    planned = []
    for data in sets:
        work = work_of(section, data)
        planned.append(
            {
                "name": data.name,
                "images": data.images,
                "labelled": data.labelled,
                "annotated": data.annotated,
                "trainings": work.trainings,
                "backbones": work.backbones,
                "detectors": work.detectors,
                "finetunings": work.finetunings,
                "images_learnt": work.images,
                "minutes": None if work.minutes is None else round(work.minutes),
                "not_run": {str(source): reason for source, reason in data.not_run.items()},
            }
        )
    return {"data": planned, "gain": section.deciding}
