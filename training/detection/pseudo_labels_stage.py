"""The pseudo-labels stage: what a finetuned detector finds on images without labels, for its next round."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from cluster.errors import UserError
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.storage import Storage
from pipelines.review import LeftOut, left_out, read_decisions
from pipelines.tables import PSEUDO_LABELS, CorpusTables, LabelRow
from training.detection.finetune import select
from training.detection.proposals_stage import detected, found_counts, looking, unseen_images
from training.detection.section import FLOOR, FinetuneSection
from training.detection.self_training import ignored_alone, known_normal, with_normal
from training.prediction import PredictSection

PSEUDO_LABELS_FILE = "pseudo_labels.parquet"


def make_pseudo_labels(
    section: PredictSection,
    *,
    site: Site,
    corpus: Artifact,
    labelled: Artifact,
    finetuned: Artifact,
    trained: FinetuneSection,
) -> Artifact:
    """Run a finetuned detector over the corpus' images outside the test split.

    Left out are images that the workspace's review rejects, and those whose only defects are in ignored
    regions. An image that a person calls normal, in the corpus or in the labels that are learnt, has no
    pseudo-label, whatever is found there. Writes `pseudo_labels.parquet`: every detection of a score of
    `FLOOR` or more.

    Args:
        section: workers and batch size; they change no result.
        site: workspace, which every worker reaches, and tracking run.
        corpus, finetuned: the stages' artifacts.
        labelled: artifact with the labels that are learnt; may be the corpus.
        trained: how the detector was finetuned: images are cut into tiles as there, and looked at in the
            mirror images that it learnt from, too.

    Raises:
        UserError: an image is gone; a damaged review; actors that leave no CPU for reading and writing.
    """
    tables = CorpusTables(corpus.directory)
    review = _rejected(tables, site.workspace)
    flips = trained.augment.flips

    def body(bench: Workbench) -> Mapping[str, Any]:
        images, labels = unseen_images(tables), _known_labels(tables, labelled)
        gone = review.images | ignored_alone(labels)
        seen = [one not in gone for one in images.column("image_id").to_pylist()]
        rows = detected(
            "pseudo-labels: finding defects on images without labels",
            images.filter(pa.array(seen, pa.bool_())),
            bench=bench,
            section=looking(section, trained, flips),
            detector=finetuned,
        )
        rows = with_normal(rows, known_normal(tables, labels))
        bench.directory.write_table(PSEUDO_LABELS_FILE, pa.Table.from_pylist(rows, schema=PSEUDO_LABELS))
        return {**found_counts(rows), "normal": sum(row["normal"] for row in rows)}

    elsewhere = {} if labelled.fingerprint == corpus.fingerprint else {"labels": labelled}
    return ensure(
        "pseudo_labels",
        site=site,
        config={"floor": FLOOR, "flips": list(flips), **trained.deciding_tiles},
        inputs={"corpus": corpus, "finetune": finetuned} | elsewhere,
        extra={"review": review.digest} if review else {},
        body=body,
    )


def require_unlabelled(
    section: FinetuneSection, *, workspace: Storage, corpus: Artifact, labelled: Artifact
) -> None:
    """Refuse further rounds where no image is without labels, before the first one is trained.

    Args:
        section: the finetuning's config.
        workspace: workspace with the review's decisions.
        corpus, labelled: see `make_pseudo_labels`.

    Raises:
        UserError: nothing to look at; see `select`.
    """
    tables, learnt = CorpusTables(corpus.directory), CorpusTables(labelled.directory)
    selection = select(section, learnt.manifest(), learnt.boxes(), learnt.ignored())
    taken = {sample.image_id for sample in (*selection.train, *selection.validation)}
    labels = _known_labels(tables, labelled)
    told = taken | known_normal(tables, labels) | ignored_alone(labels)
    told |= _rejected(tables, workspace).images
    images = tables.pretraining()
    if all(one in told for one in images):
        raise UserError(
            f"finetune.rounds={section.rounds} learns from images without labels, and there is none: each of "
            f"the {len(images)} images that the corpus has outside the held-out ones is labelled or known to "
            "be normal, or a review rejects it. Set finetune.rounds=1, or add images without labels to the "
            "corpus."
        )


def _known_labels(tables: CorpusTables, labelled: Artifact) -> dict[str, LabelRow]:
    """Labels by image id: the corpus' own, and those that are learnt in their place."""
    return {**tables.labels(), **CorpusTables(labelled.directory).labels()}


def _rejected(tables: CorpusTables, workspace: Storage) -> LeftOut:
    """What the workspace's review takes out of the images outside the test split."""
    decisions = read_decisions(workspace)
    if decisions is None:
        return LeftOut(frozenset(), {})
    return left_out(decisions, [{"image_id": one, "boxes": []} for one in tables.pretraining()])
