"""About how many images a project's trainings would learn from, by its listing alone: no pixel is read."""

from pipelines.corpus import CorpusSection, Listing, list_labelled
from pipelines.surfaces import CATEGORIES
from training.project import Project


def pretraining_images(project: Project) -> int:
    """Images outside the test split."""
    labelled, others = _counted(project)
    return round(labelled * (1 - _held_out(project.corpus)) + others)


def finetuning_images(project: Project) -> int:
    """Labelled images that finetuning learns from; which of them show a defect is not known yet."""
    section = project.finetune
    if section.data is None:
        labelled = _counted(project)[0] * (1 - _held_out(project.corpus))
    else:
        listed = sum(entry.labelled for entry in list_labelled(section.data).sources[0].entries)
        test = 0.0 if section.data.test.root else _held_out(section.data.as_corpus())
        labelled = listed * (1 - test)
    if section.limit is not None:
        labelled = min(labelled, section.limit / (1 - section.background_share))
    return round(labelled * (1 - section.validation_share))


def _held_out(corpus: CorpusSection) -> float:
    """Share of the labelled images; of a published split it is not known, and half is taken."""
    return corpus.test_share if corpus.split == "content" else 0.5


def _counted(project: Project) -> tuple[int, int]:
    """Labelled images, and all others."""
    if project.generate is not None:
        categories = project.generate.categories or tuple(CATEGORIES)
        return len(categories) * project.generate.images_per_category, 0
    entries = [entry for entry in Listing(project.corpus).entries if entry.fault is None]
    labelled = sum(entry.labelled for entry in entries)
    return labelled, len(entries) - labelled
