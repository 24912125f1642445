"""The pseudo-labels stage: what a finetuned detector finds on images without labels, for its next round."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.review import LeftOut, left_out, read_decisions
from pipelines.tables import PSEUDO_LABELS, CorpusTables
from training.detection.proposals_stage import detected, found_counts, unseen_images
from training.detection.rounds import FLOOR
from training.detection.self_training import ignored_alone, known_normal, with_normal
from training.prediction import PredictSection

PSEUDO_LABELS_FILE = "pseudo_labels.parquet"


def make_pseudo_labels(
    section: PredictSection, *, site: Site, corpus: Artifact, finetuned: Artifact
) -> Artifact:
    """Run a finetuned detector over the corpus' images outside the test split.

    Left out are images that the workspace's review rejects, and those whose only defects are in ignored
    regions. An image that a person calls normal has no pseudo-label, whatever is found there. Writes
    `pseudo_labels.parquet`: every detection of a score of `FLOOR` or more.

    Args:
        section: workers and batch size; they change no result.
        site: workspace, which every worker reaches, and tracking run.
        corpus, finetuned: the stages' artifacts.

    Raises:
        UserError: an image is gone; a damaged review; actors that leave no CPU for reading and writing.
    """
    tables, review = CorpusTables(corpus.directory), LeftOut(frozenset(), {})
    decisions = read_decisions(site.workspace)
    if decisions is not None:
        review = left_out(decisions, [{"image_id": one, "boxes": []} for one in tables.pretraining()])

    def body(bench: Workbench) -> Mapping[str, Any]:
        images, labels = unseen_images(tables), tables.labels()
        gone = review.images | ignored_alone(labels)
        seen = [one not in gone for one in images.column("image_id").to_pylist()]
        rows = detected(
            "pseudo-labels: finding defects on images without labels",
            images.filter(pa.array(seen, pa.bool_())),
            bench=bench,
            section=section,
            detector=finetuned,
        )
        rows = with_normal(rows, known_normal(tables, labels))
        bench.directory.write_table(PSEUDO_LABELS_FILE, pa.Table.from_pylist(rows, schema=PSEUDO_LABELS))
        return {**found_counts(rows), "normal": sum(row["normal"] for row in rows)}

    return ensure(
        "pseudo_labels",
        site=site,
        config={"floor": FLOOR},
        inputs={"corpus": corpus, "finetune": finetuned},
        extra={"review": review.digest} if review else {},
        body=body,
    )
