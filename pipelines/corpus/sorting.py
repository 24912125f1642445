"""What a corpus is made of: inspected images, references, split, duplicates and quarantine. No Ray here."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

import pyarrow as pa

from cluster.errors import UserError
from pipelines.corpus.bad_labels import (
    DOUBT,
    described,
    doubt_row,
    fault_order,
    fault_sentence,
    marks_nothing,
)
from pipelines.corpus.named_references import ReferenceCandidates
from pipelines.corpus.near_duplicates import group_images
from pipelines.corpus.published import PublishedSplit, published_ids
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.split import held_out_ids
from pipelines.corpus.statistics import category_statistics
from pipelines.tables import (
    BAD_LABELS,
    DUPLICATES,
    HASHES,
    LABELS,
    MANIFEST,
    MOVED,
    NEAR_DUPLICATES,
    QUARANTINE,
    REFERENCE,
    TRAIN,
    check_bad_share,
    has_defect,
)


class Corpus:
    """The inspected images sorted into manifest, labels, quarantine and duplicates.

    Args:
        inspected: rows of `inspect`.
        section: the corpus' config.
        candidates: result of `Listing.reference_candidates`.
        test: URIs of the held-out images; None chooses them by content.
        key: dotted path of `section`, for messages.
        label_faults: result of `Listing.label_faults`.
        published: result of `Listing.published`; None where the split is not the published one.
        apart: whether images outside `test` that are near-duplicates of one in it are left out: neither
            learnt from nor seen.

    Attributes:
        moved: rows of `MOVED`: images that are not on their published side.
    """

    def __init__(
        self,
        inspected: pa.Table,
        section: CorpusSection,
        candidates: Mapping[str, ReferenceCandidates],
        test: Set[str] | None = None,
        key: str = "corpus",
        label_faults: Sequence[dict[str, Any]] = (),
        published: PublishedSplit | None = None,
        *,
        apart: bool = False,
    ) -> None:
        self._section, self._key, self._listed = section, key, inspected.num_rows
        self._apart = apart
        self._published = published
        test_uris = test or frozenset() if published is None else published.held_out
        # The first copy is kept: a held-out one before a labelled one before any other.
        rows = inspected.to_pylist()
        contradictions = _contradictions(rows)
        rows.sort(
            key=lambda row: (row["uri"] not in test_uris, not row["labelled"], str(row["uri"])),
        )
        faults = [*label_faults, *(fault for row in rows for fault in row["faults"]), *contradictions]
        self.bad_labels = sorted(faults, key=fault_order)
        self._lost = [fault for fault in label_faults if fault["action"] != DOUBT]
        self.quarantine = [
            {"uri": row["uri"], "stage": "corpus", "reason": row["error"]} for row in rows if row["error"]
        ]
        self._quarantined = Counter(row["category"] for row in rows if row["error"])
        self.duplicates: list[dict[str, str]] = []
        unique: dict[str, dict[str, Any]] = {}
        for row in rows:
            if row["error"]:
                continue
            first = unique.setdefault(row["image_id"], row)
            if first is not row:
                self.duplicates.append(
                    {"uri": row["uri"], "first": first["uri"], "image_id": row["image_id"]}
                )
        references = self._references(rows, candidates)
        self.manifest: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        # A defect image whose mask is empty says neither "normal" nor where the defect is.
        empty = {
            image_id
            for image_id, row in unique.items()
            if row["labelled"] and not row["normal"] and not has_defect(row)
        }
        self.empty_masks = sum(
            marks_nothing(unique[i], unique[i]["width"], unique[i]["height"]) for i in empty
        )
        labelled_ids = {i for i, row in unique.items() if row["labelled"]} - empty
        self.near_duplicates, near_groups = group_images(unique, section.near_duplicate_distance)
        self.moved: list[dict[str, Any]] = []
        if published is not None:
            readable = [row for row in rows if not row["error"]]
            held_out, self.moved = published_ids(
                published, readable, near_groups, labelled=labelled_ids, references=references
            )
        elif test is None:
            held_out = held_out_ids(near_groups, labelled_ids - references, section.test_share)
        else:
            held_out = {i for i in labelled_ids if unique[i]["uri"] in test_uris}
        near = _beside(near_groups, held_out) if apart else {}
        self.left_out = [
            {
                "uri": unique[one]["uri"],
                "stage": "corpus",
                "reason": f"near-duplicate of {unique[other]['uri']}, which is held out",
            }
            for one, other in sorted(near.items())
        ]
        for image_id, row in sorted(unique.items()):
            if image_id in near:
                continue
            labelled = image_id in labelled_ids
            split = "test" if image_id in held_out else "train" if labelled else "unlabelled"
            role = REFERENCE if image_id in references else TRAIN
            self.manifest.append({**row, "split": split, "role": role})
            if labelled:
                self.labels.append(row)

    def refuse_unusable(self, directory: str = "") -> None:
        """Fail where more images and labels are unusable than `max_bad_share` allows, or one label at all.

        A label that belongs to no image counts like an image: nobody can tell which one lost it.

        Args:
            directory: where `unusable_tables` were written; "" if nowhere.

        Raises:
            UserError: there are more; a fault in a label where `section.bad_labels` is `fail`.
        """
        places = [f"{directory}/{name}.parquet" for name, table in self.unusable_tables().items() if table]
        where = " and ".join(places) if directory else ""
        if self._section.bad_labels == "fail" and self.bad_labels:
            raise UserError(fault_sentence(self.bad_labels, self._key, where))
        first = [f"{row['uri']}: {row['reason']}" for row in self.quarantine[:1]]
        first += [described(row) for row in self._lost[:1]]
        check_bad_share(
            len(self.quarantine) + len(self._lost),
            self._listed + len(self._lost),
            self._section.max_bad_share,
            self._key,
            first[0] if first else "",
            what="images and labels" if self._lost else "images",
            tables=where,
        )

    @staticmethod
    def _references(rows: list[dict[str, Any]], candidates: Mapping[str, ReferenceCandidates]) -> set[str]:
        good = {row["uri"]: row for row in rows if not row["error"]}
        chosen: set[str] = set()
        for some in candidates.values():
            usable = [good[uri] for uri in some.uris if uri in good and (some.named or good[uri]["normal"])]
            chosen.update(sorted({row["image_id"] for row in usable})[: some.most])
        return chosen

    def unusable_tables(self) -> dict[str, pa.Table]:
        """By name the tables of what can't be used: images, then labels."""
        return {
            "quarantine": _table(self.quarantine, QUARANTINE),
            "bad_labels": _table(self.bad_labels, BAD_LABELS),
        }

    def tables(self) -> dict[str, pa.Table]:
        """The other tables of the corpus by name."""
        return {
            "manifest": _table(self.manifest, MANIFEST),
            "labels": _table(self.labels, LABELS),
            "duplicates": _table(self.duplicates, DUPLICATES),
            "near_duplicates": _table(self.near_duplicates, NEAR_DUPLICATES),
            "hashes": _table(self.manifest, HASHES),
            "statistics": self.statistics(),
            **({} if self._published is None else {"moved": _table(self.moved, MOVED)}),
            **({"left_out": _table(self.left_out, QUARANTINE)} if self._apart else {}),
        }

    def statistics(self) -> pa.Table:
        """Figures by category, see `category_statistics`."""
        labelled = (row["image_id"] for row in self.labels)
        return category_statistics(self.manifest, labelled, self._quarantined)

    def counts(self) -> dict[str, Any]:
        """Figures for the stage's record."""
        splits = Counter(row["split"] for row in self.manifest)
        return {
            "images": len(self.manifest),
            "categories": len({row["category"] for row in self.manifest}),
            "train": splits["train"],
            "test": splits["test"],
            "unlabelled": splits["unlabelled"],
            "pretraining": splits["train"] + splits["unlabelled"],
            "references": sum(row["role"] == REFERENCE for row in self.manifest),
            "labelled": len(self.labels),
            "labelled_with_defects": sum(has_defect(row) for row in self.labels),
            "labelled_normal": sum(not has_defect(row) for row in self.labels),
            "ignored_regions": sum(len(row["ignored"]) for row in self.labels),
            "quarantined": len(self.quarantine),
            "duplicates": len(self.duplicates),
            "near_duplicates": len({row[side] for row in self.near_duplicates for side in _SIDES}),
            "near_duplicate_groups": len({row["group"] for row in self.near_duplicates}),
            "empty_masks": self.empty_masks,
            "bad_labels": sum(row["action"] != DOUBT for row in self.bad_labels),
            "lost_labels": len(self._lost),
            "doubtful_images": sum(row["action"] == DOUBT for row in self.bad_labels),
            **({} if self._published is None else {"moved": len(self.moved)}),
            **({"left_out": len(self.left_out)} if self._apart else {}),
        }


def _beside(groups: Sequence[Sequence[str]], held_out: Set[str]) -> dict[str, str]:
    """Images that share a group of near-duplicates with a held-out one, and that one."""
    beside = {}
    for members in groups:
        tested = next((one for one in members if one in held_out), None)
        if tested is not None:
            beside.update({one: tested for one in members if one not in held_out})
    return beside


def _contradictions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make normal images unlabelled where a copy of the same content has a defect or a label at fault.

    Args:
        rows: rows of `inspect`; those of such images are changed in place.

    Returns:
        A row of `BAD_LABELS` for each of them.
    """
    against: dict[str, str] = {}
    for row in rows:
        if row["image_id"] and (row["error"] or row["boxes"] or (row["labelled"] and not row["normal"])):
            against.setdefault(row["image_id"], row["uri"])
    faults = []
    for row in rows:
        other = against.get(row["image_id"])
        if other is not None and row["normal"] and not row["error"]:
            row["normal"] = row["labelled"] = False
            reason = f"it would be normal, but the same image has a defect or a label at fault as {other}"
            faults.append(doubt_row(reason, row["uri"]))
    return faults


_SIDES = ("image_id_a", "image_id_b")


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)
