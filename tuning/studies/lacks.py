"""What keeps a study's cell from being run, and what it asks of machine and network. No torch here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.encoder import PRESETS
from training.agbp import BackboneSection
from training.detection import DetectorSection, FinetuneSection
from training.inputs import Needs
from training.project import Project
from training.starts import AGSSP, PUBLISHED, SCRATCH
from tuning.start_words import missing_file

# A package or preset with the model; images, their references or prompts; weights; settings that fit.
Kind = Literal["model", "images", "weights", "settings"]
LARGE_STEP = 1 << 22  # pixels; the CPU preset has 0.15 million, the paper's settings 6 million and more


@dataclass(frozen=True)
class Lack:
    """One thing that a cell lacks.

    Attributes:
        kind: what sort of thing.
        what: the remedy, or the reason where there is none.
    """

    kind: Kind
    what: str


def missing_weights(project: Project) -> list[Lack]:
    """Files of weights that a project names and that aren't there; registry and URIs are not asked."""
    needs = Needs.of(project, "finetune")
    words = dict(project.finetune.given)
    if needs.backbone and project.backbone.start != SCRATCH:
        words["backbone.start"] = project.backbone.start
    return [
        Lack("weights", f"{word} of {name} is not there")
        for name, word in words.items()
        if missing_file(word)
    ]


def downloads(project: Project) -> list[str]:
    """Published weights that a project's trainings would fetch on first use, in words."""
    needs, encoder, words = Needs.of(project, "finetune"), project.maps.encoder, list[str]()
    if needs.maps and encoder.model in PRESETS and encoder.weights is None:
        words.append(f"the encoder {'/'.join(PRESETS[encoder.model])}")
    if needs.backbone and project.backbone.start in PUBLISHED:
        words.append(f"{project.backbone.start} weights of {project.backbone.name}")
    starts = [word for word in project.finetune.given.values() if word in PUBLISHED]
    return words + [f"{word} weights of {project.finetune.name}" for word in starts]


def large_step(project: Project) -> str | None:
    """The largest step of a project's trainings in words, where it is none for CPUs; else None."""
    pixels, words = max(_steps(project))
    return words if pixels > LARGE_STEP else None


def _steps(project: Project) -> Iterator[tuple[int, str]]:
    needs, starts = Needs.of(project, "finetune"), project.finetune.starts
    trained: list[BackboneSection | DetectorSection | FinetuneSection] = [project.finetune]
    trained += [project.backbone] if needs.backbone else []
    trained += [project.detector] if AGSSP in starts else []
    for section in trained:
        size = section.image_size
        height, width = (size, size) if isinstance(size, int) else size
        batch = section.loop.batch_size // section.loop.accumulate
        yield batch * height * width, f"{batch} images of {height} × {width} px by {section.name}"
