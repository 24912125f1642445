"""How many images a project's trainings learn from, by its lists of files alone."""

from dataclasses import dataclass

from cluster.stages import digest
from pipelines.corpus import Listing, list_labelled
from pipelines.surfaces import CATEGORIES
from training.project import Project


@dataclass(frozen=True)
class _Counts:
    images: int
    labelled: int
    annotated: int
    held_out: float  # share of the labelled images


class ImageCounts:
    """Counts of images; each folder is listed once."""

    def __init__(self) -> None:
        self._known: dict[str, _Counts | None] = {}

    def learnt(self, stage: str, project: Project) -> float | None:
        """Images of one epoch, about; None where the project names none.

        Args:
            stage: `backbone`, `detector` or `finetune`.
            project: the project that trains it.
        """
        counts = self._counts(project, labels=stage == "finetune")
        if counts is None:
            return None
        if stage != "finetune":
            return counts.images - counts.held_out * counts.labelled
        return _mixed(counts, project.finetune.limit, project.finetune.background_share)

    def mixed(self, project: Project, limit: int | None, background_share: float) -> float | None:
        """Labelled images of one epoch, about, normal ones among them; None where the project names none.

        Args:
            project: names the images.
            limit: most images with defects.
            background_share: largest share of normal images.
        """
        counts = self._counts(project, labels=True)
        return None if counts is None else _mixed(counts, limit, background_share)

    def _counts(self, project: Project, *, labels: bool) -> _Counts | None:
        parts = {"corpus", "generate"} | ({"finetune"} if labels else set())
        key = digest(project.model_dump(mode="json", include=parts))
        if key not in self._known:
            self._known[key] = _counted(project, labels)
        return self._known[key]


def annotated_to_learn(project: Project, listing: Listing) -> float:
    """Annotated images that a finetuning may learn from, about; the held-out ones don't count.

    Args:
        project: names the images.
        listing: of `finetune.data` where that is given, else of the corpus.
    """
    data = project.finetune.data
    sources = listing.sources[:1] if data is not None and data.test.root else listing.sources
    published = listing.published
    held_out = frozenset[str]() if published is None else published.held_out
    count = sum(
        entry.annotation is not None and source.uri(entry) not in held_out
        for source in sources
        for entry in source.entries
    )
    if published is not None or (data is not None and data.test.root):
        return count
    return count * (1 - (project.corpus if data is None else data).test_share)


def _mixed(counts: _Counts, limit: int | None, background_share: float) -> float:
    annotated = (1 - counts.held_out) * counts.annotated
    chosen = annotated if limit is None else min(limit, annotated)
    return min(chosen / (1 - background_share), (1 - counts.held_out) * counts.labelled)


def _counted(project: Project, labels: bool) -> _Counts | None:
    data, corpus, surfaces = project.finetune.data, project.corpus, project.generate
    if labels and data is not None:
        listing, share = list_labelled(data), 0.0 if data.test.root else data.test_share
        if data.test.root:
            listing.entries = listing.sources[0].entries
    elif surfaces is not None:
        images = surfaces.images_per_category * len(surfaces.categories or CATEGORIES)
        return _Counts(images, images, round(images * surfaces.defect_share), corpus.test_share)
    elif corpus.root or corpus.sources:
        listing, share = Listing(corpus), corpus.test_share
    else:
        return None
    entries = listing.entries
    labelled = sum(entry.labelled for entry in entries)
    return _Counts(len(entries), labelled, sum(entry.annotation is not None for entry in entries), share)
