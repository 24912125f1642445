"""What labels say of pseudo-boxes, and which boxes a detector learns where that is left to them."""

from collections.abc import Callable, Collection
from typing import Any

from cluster.progress import say
from cluster.stages import Artifact
from pipelines.boxes import BoxShares, pseudo_box_shares
from pipelines.tables import CorpusTables
from training.detection.finetune import select
from training.detection.section import DetectorSection, FinetuneSection

LEAST_DEFECTS, POOR_F1 = 20, 0.15  # labelled ones that tell; docs/method.md#which-boxes


def judged_by_labels(corpus: Artifact, boxes: Artifact) -> dict[str, Any]:
    """What the labelled training images say of pseudo-boxes, for the record; nothing where they are few.

    Nothing is chosen by it; boxes that are of no use are told before a night is spent on them.

    Args:
        corpus, boxes: the stages' artifacts.
    """
    shares = pseudo_box_shares(corpus, boxes)
    if shares.defects < LEAST_DEFECTS:
        return {}
    if shares.f1 < POOR_F1:
        say(
            f"detector: on the labelled images {_told(shares)}, too few to learn from: such boxes took "
            "points from detectors. detector.boxes=painted needs none"
        )
    return {"pseudo_boxes": {"right": shares.right, "met": shares.met, "defects": shares.defects}}


def with_chosen_boxes(
    section: DetectorSection, labelled: Collection[str], corpus: Artifact, boxes: Callable[[], Artifact]
) -> DetectorSection:
    """The section with `both` or `painted` in the place of `auto`; says which and why.

    `both` where the pseudo-boxes have an F1 of 15 % or more (IoU 0.5) on the images whose labels may choose,
    `painted` where they have less or fewer than 20 defects are labelled (docs/method.md#which-boxes).

    Args:
        section: the config, with `boxes=auto`.
        labelled: ids of the images whose labels choose, see `choosing_images`.
        corpus: the corpus stage's artifact.
        boxes: makes the boxes stage's; asked for only where labels can judge it.
    """
    truth = CorpusTables(corpus.directory).boxes()
    count = sum(len(truth.get(image, ())) for image in labelled)
    if count < LEAST_DEFECTS:
        why = f"{count} labelled defects can't tell whether pseudo-boxes are good, {LEAST_DEFECTS} could"
        good = False
    else:
        shares = pseudo_box_shares(corpus, boxes(), labelled)
        good = shares.f1 >= POOR_F1
        why = f"on the labelled images {_told(shares)}, {'enough' if good else 'too few'} to learn from"
    learnt = "pseudo-boxes are learnt beside painted defects" if good else "painted defects alone are learnt"
    chosen = section.learning("both" if good else "painted")
    say(f"detector: {why}: {learnt} (detector.boxes={chosen.boxes})")
    return chosen


def choosing_images(section: FinetuneSection, corpus: Artifact) -> frozenset[str]:
    """Ids of the pretraining images whose labels the finetuning learns: no other label chooses anything.

    Args:
        section: the finetuning's config; its limit and seed hold.
        corpus: the corpus stage's artifact.
    """
    tables = CorpusTables(corpus.directory)
    labels, seen = tables.boxes(), tables.pretraining()
    if not any(labels.get(image) for image in seen):
        return frozenset()
    # Those that choose the best epoch are the user's labels, too.
    whole = section.model_copy(update={"validation_share": 0.0})
    selection = select(whole, tables.manifest(), labels, tables.ignored())
    return frozenset(sample.image_id for sample in selection.train if sample.image_id in seen)


def _told(shares: BoxShares) -> str:
    return (
        f"{shares.right or 0:.0%} of {shares.boxes:,} pseudo-boxes are right and {shares.met or 0:.0%} of "
        f"{shares.defects:,} defects are met (IoU 0.5)"
    )
