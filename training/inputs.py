"""What a project's config names: listed images, references, prompts, the place of its models.

A fault in them is reported before torch, Ray or a model library is imported.
"""

from typing import TYPE_CHECKING

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


def check_inputs(project: Project) -> None:
    """Refuse folders, references and prompts that are at fault, before a heavy library is imported.

    Only to count the tokens of the user's own prompts, in the end, is the encoder's library imported.

    Raises:
        UserError: the first fault found.
    """
    categories: set[str] = set()
    data, starts = project.finetune.data, set(project.finetune.starts)
    roots = project.corpus.root or project.corpus.sources
    if project.generate is None and (roots or data is None or starts & {AGBP, AGSSP}):
        listing = read_listing(project.corpus, project.maps.reference_need)
        categories = {entry.category for entry in listing.entries}
    check_sentences(project.maps, categories)
    if data is not None:
        list_labelled(data)


def open_tracker(project: Project) -> "Tracker":
    """Where the project's runs and models are recorded; only for reading.

    Raises:
        UserError: see `Tracker.open`.
    """
    from cluster.storage import Storage
    from cluster.tracking import Tracker

    return Tracker.open(project.tracking, Storage.open(project.workspace))
