"""Which images may be chosen: neither labelled nor held out, nor a near-duplicate of such an image."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.corpus import nearest
from pipelines.tables import REFERENCE, CorpusTables

HELD_OUT, LABELLED, REFERENCES = "held out", "labelled", "normal references"
NEAR_HELD_OUT = "near-duplicates of held-out images"
NEAR_LABELLED = "near-duplicates of labelled images or references"
NO_MAP = "without a map or an embedding (unreadable)"


@dataclass(frozen=True)
class Candidates:
    """The corpus' images, sorted out.

    Attributes:
        groups: by image that may be chosen, its group of near-duplicates.
        known: ids of the corpus' images that are labelled, or normal references.
        left_out: by reason, the number of images that can't be chosen.
    """

    groups: Mapping[str, str]
    known: frozenset[str]
    left_out: Mapping[str, int]


def candidates(
    corpus: CorpusTables, usable: frozenset[str], labelled: CorpusTables | None, limit: int
) -> Candidates:
    """Sort out the images of a corpus.

    Args:
        corpus: the corpus' tables.
        usable: ids of the images with a map and an embedding.
        labelled: tables of labelled images elsewhere (`finetune.data`); None where there are none.
        limit: most differing bits of near-duplicates.
    """
    rows = corpus.manifest(columns=("image_id", "split", "role"))
    reasons = {row["image_id"]: HELD_OUT for row in rows if row["split"] == "test"}
    references = [row["image_id"] for row in rows if row["role"] == REFERENCE]
    _give(reasons, REFERENCES, references)
    _give(reasons, LABELLED, corpus.labelled())
    ids = [row["image_id"] for row in rows]
    if labelled is not None:
        elsewhere = labelled.held_out()
        _give(reasons, HELD_OUT, elsewhere & set(ids))
        _give(reasons, LABELLED, labelled.labelled() & set(ids))
    known = frozenset(one for one in ids if reasons.get(one) in (LABELLED, REFERENCES))
    groups = groups_of(corpus)
    _near(reasons, ids, groups, corpus, labelled, limit)
    _give(reasons, NO_MAP, (one for one in ids if one not in usable))
    free = {one: groups.get(one, one) for one in ids if one not in reasons}
    counts = Counter(reasons[one] for one in ids if one in reasons)
    return Candidates(free, known & usable, dict(sorted(counts.items())))


def groups_of(corpus: CorpusTables) -> dict[str, str]:
    """image_id → its group, of the images that have near-duplicates."""
    columns = ["group", "image_id_a", "image_id_b"]
    rows = corpus.directory.read_table("near_duplicates.parquet", columns=columns).to_pylist()
    return {row[side]: row["group"] for row in rows for side in columns[1:]}


def _give(reasons: dict[str, str], reason: str, image_ids: Iterable[str]) -> None:
    """The reason, where an image has none yet."""
    for image_id in image_ids:
        reasons.setdefault(image_id, reason)


def _near(
    reasons: dict[str, str],
    ids: list[str],
    groups: Mapping[str, str],
    corpus: CorpusTables,
    labelled: CorpusTables | None,
    limit: int,
) -> None:
    """Add the near-duplicates of images that have a reason, by the corpus' groups and by hashes elsewhere."""
    kinds = {HELD_OUT: NEAR_HELD_OUT, LABELLED: NEAR_LABELLED, REFERENCES: NEAR_LABELLED}
    in_group: dict[str, str] = {}
    for image_id in ids:
        kind = kinds.get(reasons.get(image_id, ""))
        if kind is not None and image_id in groups and in_group.get(groups[image_id]) != NEAR_HELD_OUT:
            in_group[groups[image_id]] = kind
    if labelled is not None:
        hashes, others = corpus.hashes(), labelled.hashes()
        test, known = labelled.held_out(), labelled.labelled()
        for kind, chosen in ((NEAR_HELD_OUT, test), (NEAR_LABELLED, known - test)):
            asked = [one for one in ids if one not in reasons and one in hashes]
            base = [others[one] for one in sorted(chosen) if one in others]
            near = nearest([hashes[one] for one in asked], base, limit)
            _give(reasons, kind, (one for one, place in zip(asked, near, strict=True) if place is not None))
    for image_id in ids:
        if image_id not in reasons and groups.get(image_id) in in_group:
            reasons[image_id] = in_group[groups[image_id]]
