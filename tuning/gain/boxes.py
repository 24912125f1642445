"""How many of a set's labelled images show a defect."""

from cluster.stages import Artifact
from pipelines.tables import CorpusTables, has_defect


def defective_share(corpus: Artifact) -> float | None:
    """Share of the labelled images of the training half that show a defect; None without any."""
    tables = CorpusTables(corpus.directory)
    training = tables.pretraining()
    shown = [has_defect(row) for image, row in tables.labels().items() if image in training]
    return sum(shown) / len(shown) if shown else None
