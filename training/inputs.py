"""What a project's config names: listed images, references, prompts, the place of its models.

A fault in them is reported before torch, Ray or a model library is imported.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cluster.errors import UserError
from pipelines.corpus import CorpusSection, Listing, ReferenceNeed, list_labelled
from pipelines.heads import required_head
from pipelines.maps import check_sentences
from training.project import Project
from training.starts import AGBP, AGSSP, SCRATCH

if TYPE_CHECKING:
    from cluster.tracking import Tracker


def read_listing(corpus: CorpusSection, need: ReferenceNeed | None) -> Listing:
    """List the corpus and check it against the config, without Ray and without reading a pixel.

    Args:
        corpus: the config.
        need: references of every category; None where none are needed.

    Raises:
        UserError: no root, no image, or categories without references.
    """
    if not corpus.root and not corpus.sources:
        raise UserError(
            "corpus.root is not set; give a folder of images, e.g. corpus.root=photos, or several in "
            "corpus.sources."
        )
    listing = Listing(corpus)
    if need is not None:
        listing.require_references(corpus, need)
    return listing


# How far a command goes: to the stage of that name and those it reads, or through all of them.
Goal = Literal["corpus", "maps", "backbone", "detector", "finetune", "run"]


@dataclass(frozen=True)
class Needs:
    """What a command's stages read, and so what is checked before them; the rest may be at fault.

    Attributes:
        corpus: the corpus' images.
        maps: references, prompts and the encoder.
        backbone: the weights that the pretraining begins with.
        labels: the finetuning's data and the weights of its starts.
        detector_start: word for the weights that the detector's pretraining begins with; None where it
            begins with the backbone stage's, from scratch, or is not needed.
    """

    corpus: bool
    maps: bool
    backbone: bool
    labels: bool
    detector_start: str | None = None

    @classmethod
    def of(cls, project: Project, goal: Goal) -> "Needs":
        """What a project needs to reach a goal."""
        data, roots = project.finetune.data, project.corpus.root or project.corpus.sources
        section, starts = project.detector, set(project.finetune.starts)
        start = None if section.begins_with in (AGBP, SCRATCH) else section.begins_with
        if goal == "detector":
            return cls(True, section.needs_maps, section.needs_backbone, labels=False, detector_start=start)
        if goal == "finetune":
            detector = AGSSP in starts
            return cls(
                corpus=data is None or project.finetune.rounds > 1 or bool(starts & {AGBP, AGSSP}),
                maps=AGBP in starts or (detector and section.needs_maps),
                backbone=AGBP in starts or (detector and section.needs_backbone),
                labels=True,
                detector_start=start if detector else None,
            )
        if goal == "run":
            several = project.finetune.rounds > 1
            corpus = bool(roots) or data is None or several or bool(starts & {AGBP, AGSSP})
            backbone = section.needs_backbone or AGBP in starts
            maps = section.needs_maps or backbone
            return cls(corpus, maps=maps, backbone=backbone, labels=True, detector_start=start)
        return cls(True, maps=goal != "corpus", backbone=goal == "backbone", labels=False)


def check_inputs(project: Project, goal: Goal = "run") -> None:
    """Refuse folders, references and prompts that are at fault, before a heavy library is imported.

    Only to count the tokens of the user's own prompts, in the end, is the encoder's library imported.

    Args:
        project: the config.
        goal: how far the command goes.

    Raises:
        UserError: the first fault found.
    """
    needs, categories = Needs.of(project, goal), set[str]()
    if project.generate is None and needs.corpus:
        listing = read_listing(project.corpus, project.maps.reference_need if needs.maps else None)
        categories = {entry.category for entry in listing.entries}
    if needs.maps:
        check_sentences(project.maps, categories)
        if project.maps.trained and project.maps.method != "painted":
            required_head(project.maps.method, project.maps.head)
    if project.finetune.data is not None and needs.labels:
        list_labelled(project.finetune.data)


def open_tracker(project: Project) -> "Tracker":
    """Where the project's runs and models are recorded; only for reading.

    Raises:
        UserError: see `Tracker.open`.
    """
    from cluster.storage import Storage
    from cluster.tracking import Tracker

    return Tracker.open(project.tracking, Storage.open(project.workspace))
