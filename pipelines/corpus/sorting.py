"""What a corpus is made of: inspected images, references, split, duplicates and quarantine. No Ray here.

Images are places in the inspected table, arrays of 8 bytes each: a million of them are never Python objects.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import UserError
from pipelines.corpus.bad_labels import DOUBT, described, fault_order, fault_sentence, marks_nothing
from pipelines.corpus.copies import Copies, without_contradictions
from pipelines.corpus.entries import ROWS_AT_ONCE
from pipelines.corpus.named_references import ReferenceCandidates, chosen_references
from pipelines.corpus.near_duplicates import group_rows, listed_groups
from pipelines.corpus.places import Flags, Places, among, counts_of, filled, flags
from pipelines.corpus.published import PublishedSplit, published_ids
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.split import held_out_images
from pipelines.corpus.statistics import category_statistics
from pipelines.tables import (
    BAD_LABELS,
    HASHES,
    LABELS,
    MANIFEST,
    MOVED,
    QUARANTINE,
    REFERENCE,
    TRAIN,
    check_bad_share,
)

PIECE = 1 << 16  # rows of a table that are written at once
SPLITS = ("test", "train", "unlabelled")
TEST, TRAINING, UNLABELLED = (np.int32(place) for place in range(len(SPLITS)))


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
        bad_labels: rows of `BAD_LABELS`.
        quarantine, duplicates, near_duplicates, left_out: the tables of these names.
        moved: rows of `MOVED`: images that are not on their published side.
        both_sides: labelled images outside a given `test` that are near-duplicates of one in it, and of the
            first both addresses; they are learnt from. None where none is, or `test` is not given.
        empty_masks: defect images whose label marks nothing: they say neither "normal" nor where a defect is.
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
        images, contradictions = without_contradictions(inspected)
        copies = Copies(images, test_uris)
        faulty = copies.order[filled(images["faults"])[copies.order]]
        told = (fault for row in _rows(images, faulty, ["faults"]) for fault in row["faults"])
        self.bad_labels = sorted([*label_faults, *told, *contradictions], key=fault_order)
        self._lost = [fault for fault in label_faults if fault["action"] != DOUBT]
        self.quarantine = copies.quarantine()
        self._quarantined = counts_of(images["category"].filter(pa.array(copies.bad)))
        self.duplicates = copies.duplicates()
        usable = images.select(["uri", "image_id", "normal"]).filter(pa.array(~copies.bad))
        references = chosen_references(usable, candidates)

        # From here on images are places among the different ones, by id.
        self._images = images
        rows = copies.different()
        ids = images["image_id"].take(pa.array(rows)).combine_chunks()
        labelled, self._defect = (
            flags(images["labelled"])[rows],
            (filled(images["boxes"]) | filled(images["ignored"]))[rows],
        )
        empty = labelled & ~flags(images["normal"])[rows] & ~self._defect
        marked = _rows(images, rows[empty], ["boxes", "ignored", "mask", "width", "height"])
        self.empty_masks = sum(marks_nothing(row, row["width"], row["height"]) for row in marked)
        labelled = labelled & ~empty
        reference = among(ids, references)
        self.near_duplicates, groups = group_rows(images, rows, section.near_duplicate_distance)
        self.moved: list[dict[str, Any]] = []
        if published is not None:
            held_ids, self.moved = published_ids(
                published,
                _rows(images, copies.order[~copies.bad[copies.order]], ["image_id", "uri"]),
                listed_groups(ids.to_pylist(), groups),
                labelled=set(ids.filter(pa.array(labelled)).to_pylist()),
                references=references,
            )
            held_out = among(ids, held_ids)
        elif test is None:
            held_out = held_out_images(ids, groups, labelled & ~reference, section.test_share)
        else:
            held_out = labelled & among(images["uri"], test_uris)[rows]
        self.both_sides: tuple[int, str, str] | None = None
        self.left_out, kept = QUARANTINE.empty_table(), np.ones(len(ids), np.bool_)
        if apart:
            beside = _beside(groups, held_out)
            self.left_out, kept = _left_out(images["uri"], rows, beside), beside < 0
        elif test is not None:
            beside = _beside(groups, held_out)
            both = np.flatnonzero((beside >= 0) & labelled)
            if len(both):
                pair = rows[[both[0], beside[both[0]]]]
                self.both_sides = (len(both), *images["uri"].take(pa.array(pair)).to_pylist())
        self._places, self._defect = rows[kept], self._defect[kept]
        self._labelled, self._reference = labelled[kept], reference[kept]
        self._split = np.where(held_out, TEST, np.where(labelled, TRAINING, UNLABELLED))[kept]

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
        first = [f"{row['uri']}: {row['reason']}" for row in self.quarantine.slice(0, 1).to_pylist()]
        first += [described(row) for row in self._lost[:1]]
        check_bad_share(
            self.quarantine.num_rows + len(self._lost),
            self._listed + len(self._lost),
            self._section.max_bad_share,
            self._key,
            first[0] if first else "",
            what="images and labels" if self._lost else "images",
            tables=where,
        )

    def unusable_tables(self) -> dict[str, pa.Table]:
        """By name the tables of what can't be used: images, then labels."""
        return {"quarantine": self.quarantine, "bad_labels": _table(self.bad_labels, BAD_LABELS)}

    def tables(self) -> dict[str, pa.Table]:
        """The other tables of the corpus by name."""
        return {
            name: pa.concat_tables([schema.empty_table(), *pieces])
            for name, (schema, pieces) in self.pieces().items()
        }

    def pieces(self) -> dict[str, tuple[pa.Schema, Iterator[pa.Table]]]:
        """The schema of each of `tables` and its pieces, of which one is held at a time."""
        every = np.arange(len(self._places))
        others = {
            "duplicates": self.duplicates,
            "near_duplicates": self.near_duplicates,
            "statistics": self.statistics(),
            **({} if self._published is None else {"moved": _table(self.moved, MOVED)}),
            **({"left_out": self.left_out} if self._apart else {}),
        }
        return {
            "manifest": (MANIFEST, self._pieces(MANIFEST, every)),
            "labels": (LABELS, self._pieces(LABELS, every[self._labelled])),
            "hashes": (HASHES, self._pieces(HASHES, every)),
            **{name: (table.schema, iter([table])) for name, table in others.items()},
        }

    def _pieces(self, schema: pa.Schema, chosen: Places) -> Iterator[pa.Table]:
        for start in range(0, len(chosen), PIECE):
            yield self.images(schema.names, chosen[start : start + PIECE]).cast(schema)

    def images(self, columns: Sequence[str] = (), chosen: Flags | Places | slice = slice(None)) -> pa.Table:
        """The images of the manifest by id: columns of the inspected table, `split` and `role`.

        Args:
            columns: the columns wanted; none for all.
            chosen: which images.
        """
        names = columns or [*self._images.column_names, "split", "role"]
        inspected = [name for name in names if name in self._images.column_names]
        table = self._images.select(inspected).take(pa.array(self._places[chosen]))
        if "split" in names:
            split = pa.DictionaryArray.from_arrays(self._split[chosen], list(SPLITS))
            table = table.append_column("split", split.cast(pa.string()))
        if "role" in names:
            table = table.append_column(
                "role", pc.if_else(pa.array(self._reference[chosen]), REFERENCE, TRAIN)
            )
        return table.select(list(names))

    @property
    def manifest(self) -> list[dict[str, Any]]:
        """`images` as rows, of a few thousand."""
        return list(self.images().to_pylist())

    @property
    def labels(self) -> list[dict[str, Any]]:
        """The labelled of `manifest`."""
        return list(self.images(chosen=self._labelled).to_pylist())

    @property
    def classes(self) -> dict[str, set[str]]:
        """The class names of the labelled boxes of both splits."""

        def named(split: np.int32) -> set[str]:
            boxes = self.images(["boxes"], self._labelled & (self._split == split))["boxes"]
            return set(pc.unique(pc.struct_field(pc.list_flatten(boxes), "label")).to_pylist())

        return {SPLITS[split]: named(split) for split in (TEST, TRAINING)}

    def sample(self, most: int, categories: Sequence[str]) -> list[dict[str, Any]]:
        """Of each category the first images by id, references before others, as rows of `manifest`.

        Args:
            most: images of a category.
            categories: the categories wanted.
        """
        chosen = [np.empty(0, np.int64)]
        column = self.images(["category"])["category"]
        for name in categories:
            own = np.flatnonzero(flags(pc.equal(column, name)))
            reference = self._reference[own]
            chosen.append(np.concatenate([own[reference][:most], own[~reference][:most]])[:most])
        places = np.concatenate(chosen)
        rows = zip(self.images(chosen=places).to_pylist(), self._labelled[places].tolist(), strict=True)
        return [{**row, "boxes": row["boxes"] if labelled else []} for row, labelled in rows]

    def statistics(self) -> pa.Table:
        """Figures by category, see `category_statistics`."""
        columns = ("category", "split", "role", "width", "height", "grey_mean", "grey_deviation")
        images = self.images(columns).append_column("labelled", pa.array(self._labelled))
        return category_statistics(images, self._quarantined)

    def counts(self) -> dict[str, Any]:
        """Figures for the stage's record."""
        train, test, unlabelled = (int((self._split == one).sum()) for one in (TRAINING, TEST, UNLABELLED))
        defects = int((self._labelled & self._defect).sum())
        ignored = self.images(["ignored"], self._labelled)["ignored"]
        sides = [self.near_duplicates[side].unique() for side in ("image_id_a", "image_id_b")]
        return {
            "images": len(self._places),
            "categories": len(pc.unique(self.images(["category"])["category"])),
            "train": train,
            "test": test,
            "unlabelled": unlabelled,
            "pretraining": train + unlabelled,
            "references": int(self._reference.sum()),
            "labelled": int(self._labelled.sum()),
            "labelled_with_defects": defects,
            "labelled_normal": int(self._labelled.sum()) - defects,
            "ignored_regions": len(pc.list_flatten(ignored)),
            "quarantined": self.quarantine.num_rows,
            "duplicates": self.duplicates.num_rows,
            "near_duplicates": len(pa.concat_arrays(sides).unique()),
            "near_duplicate_groups": len(pc.unique(self.near_duplicates["group"])),
            "empty_masks": self.empty_masks,
            "bad_labels": sum(row["action"] != DOUBT for row in self.bad_labels),
            "lost_labels": len(self._lost),
            "doubtful_images": sum(row["action"] == DOUBT for row in self.bad_labels),
            **({} if self._published is None else {"moved": len(self.moved)}),
            **({"left_out": self.left_out.num_rows} if self._apart else {}),
        }


def _rows(images: pa.Table, places: Places, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Some rows of a table, a few thousand at once."""
    chosen = images.select(list(columns)).combine_chunks() if len(places) else images
    for start in range(0, len(places), ROWS_AT_ONCE):
        yield from chosen.take(pa.array(places[start : start + ROWS_AT_ONCE])).to_pylist()


def _beside(groups: Places, held_out: Flags) -> Places:
    """For images that share a group of near-duplicates with a held-out one its place; -1 for all others."""
    first = np.full(groups.max(initial=-1) + 1, -1)
    places = np.flatnonzero(held_out)[::-1]
    first[groups[places]] = places  # of several writes to one place the last counts
    return np.where(held_out, -1, first[groups])


def _left_out(uris: pa.ChunkedArray, rows: Places, beside: Places) -> pa.Table:
    """The images that are left out and why, schema `QUARANTINE`."""
    places = rows[beside >= 0]
    others = uris.take(pa.array(rows[beside[beside >= 0]])).to_pylist()
    reasons = [f"near-duplicate of {other}, which is held out" for other in others]
    columns = [uris.take(pa.array(places)), pa.repeat("corpus", len(places)), pa.array(reasons, pa.string())]
    return pa.table(columns, names=QUARANTINE.names).cast(QUARANTINE)


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)
