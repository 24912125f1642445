"""What a project's config names: listed images, references, prompts, the place of its models.

A fault in them is reported before torch, Ray or a model library is imported.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cluster.errors import UserError
from pipelines.corpus import CorpusSection, Listing, ReferenceNeed, list_labelled
from pipelines.maps import check_sentences
from training.project import Project
from training.starts import AGBP, AGSSP

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
Goal = Literal["corpus", "maps", "backbone", "finetune", "run"]


@dataclass(frozen=True)
class Needs:
    """What a command's stages read, and so what is checked before them; the rest may be at fault.

    Attributes:
        corpus: the corpus' images.
        maps: references, prompts and the encoder.
        backbone: the weights that the pretraining begins with.
        labels: the finetuning's data and the weights of its starts.
    """

    corpus: bool
    maps: bool
    backbone: bool
    labels: bool

    @classmethod
    def of(cls, project: Project, goal: Goal) -> "Needs":
        """What a project needs to reach a goal."""
        data, roots = project.finetune.data, project.corpus.root or project.corpus.sources
        pretrained = bool(set(project.finetune.starts) & {AGBP, AGSSP})
        if goal == "finetune":
            return cls(data is None or pretrained, pretrained, pretrained, labels=True)
        if goal == "run":
            return cls(bool(roots) or data is None or pretrained, maps=True, backbone=True, labels=True)
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
