"""Every image of a corpus before any is read: its sources as their layouts read them, checked."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import UserError
from pipelines.corpus.bad_labels import described, first_names, lost_row
from pipelines.corpus.entries import Entries
from pipelines.corpus.named_references import ReferenceCandidates
from pipelines.corpus.published import PublishedSplit
from pipelines.corpus.section import CorpusSection, ReferenceNeed
from pipelines.corpus.source_listing import SourceListing
from pipelines.corpus.source_split import require_held_out
from pipelines.images import Levels, source_levels
from pipelines.layouts import (
    foreign_text,
)
from pipelines.tables import LISTED


class Listing:
    """Every image file of a corpus as its layouts read it, before any pixel is read.

    Args:
        section: the corpus' config, with a root or sources.

    Raises:
        UserError: see `SourceListing`; a file that belongs to two sources.
    """

    def __init__(self, section: CorpusSection) -> None:
        self.section = section
        split_key = f"{section.key}.split" if section.split == "published" else ""
        self.sources = [SourceListing(source, key, split_key) for key, source in section.keyed_sources()]
        self.entries = sum((source.entries for source in self.sources), Entries())
        self.layout = ", ".join(dict.fromkeys(source.layout for source in self.sources))
        if split_key:
            require_held_out([source.published for source in self.sources if source.published], split_key)
        self._refuse_shared()

    def _refuse_shared(self) -> None:
        known: list[tuple[str, pa.Array]] = []
        for source in self.sources if len(self.sources) > 1 else ():
            own = pa.concat_arrays([pa.array([], pa.large_string()), *source.uri_arrays()])
            firsts = [(pc.index(pc.is_in(own, value_set=theirs), True).as_py(), key) for key, theirs in known]
            if shared := [first for first in firsts if first[0] >= 0]:
                place, key = min(shared, key=itemgetter(0))
                raise UserError(
                    f"{own[place]} belongs to {key} and to {source.key}; let no root lie in another."
                )
            known.append((source.key, own))

    def digest(self) -> str:
        """Changes when an image or annotation is added, removed or changed (by name, size and time)."""
        hasher = hashlib.sha256()
        for source in self.sources:
            for row, states in source.rows():
                hasher.update(f"{sorted(row.items())!r}\0{states!r}\n".encode())
            hasher.update("".join(f"{fault!r}\n" for fault in source.label_faults()).encode())
        return hasher.hexdigest()

    def label_faults(self) -> list[dict[str, object]]:
        """Faults of labels that no image's row tells, see `SourceListing.label_faults`."""
        return [fault for source in self.sources for fault in source.label_faults()]

    def warnings(self) -> list[str]:
        """What the user must hear of a usable listing: lost labels, images in doubt, files passed over."""
        told = []
        for source in self.sources:
            told += source.published.warnings() if source.published else []
            root, doubts = source.source.root, source.doubts()
            if source.lost:
                lost = lost_row(source.lost[0], source.tree.uri(source.lost[0].file))
                told.append(f"{root}: labels of no image, left out: {len(source.lost)} ({described(lost)})")
            for defective, what in (
                (False, "images taken as unlabelled, not as normal"),
                (True, "images of defects taken as unlabelled"),
            ):
                if defective in doubts:
                    count, first = doubts[defective]
                    told.append(f"{root}: {what}: {count} ({first.path}: {first.doubt})")
            if source.tree.foreign:
                told.append(f"{root}: left out: {foreign_text(source.tree.foreign)}")
            if source.passed_over:
                what = f"files that may hold labels but that the layout {source.layout} does not read"
                told.append(f"{root}: {what}: {len(source.passed_over)} ({first_names(source.passed_over)})")
        return told

    @cached_property
    def published(self) -> PublishedSplit | None:
        """The published split of all sources; None where the split is by content."""
        if self.section.split != "published":
            return None
        stated: dict[str, frozenset[str]] = {}
        held_out: set[str] = set()
        for source in self.sources:
            if source.published is not None:
                held_out.update(map(source.uri_of, source.published.held_out))
                stated |= {source.uri(entry): entry.published for entry in source.entries if entry.published}
        return PublishedSplit(frozenset(held_out), stated)

    def reference_candidates(self, section: CorpusSection) -> dict[str, ReferenceCandidates]:
        """Images that may serve as normal references, by category (every category has a row).

        They include images that an annotation may yet call normal, but none that is published as held out.
        """
        held_out = self.published.held_out if self.published is not None else frozenset()
        marked: dict[str, list[pa.Array]] = {}
        for source in self.sources:
            for entries in source.entries.pieces():
                found: dict[str, list[str]] = {entry.category: [] for entry in entries}
                for entry in entries:
                    normal = entry.normal or (
                        entry.annotation is not None and entry.annotation.empty_is_normal
                    )
                    if normal and (uri := source.uri(entry)) not in held_out:
                        found[entry.category].append(uri)
                for category, uris in found.items():
                    marked.setdefault(category, []).append(pa.array(uris, pa.large_string()))
        candidates = {
            name: ReferenceCandidates(pa.concat_arrays(parts), section.reference_count)
            for name, parts in marked.items()
        }
        for category in {name for source in self.sources for name in source.named}:
            naming = [source for source in self.sources if category in source.named]
            uris = [source.uri_of(path) for source in naming for path in source.named[category].paths]
            single = all(source.named[category].single for source in naming)
            candidates[category] = ReferenceCandidates(
                pa.array(uris, pa.large_string()), None if single else section.reference_count, named=True
            )
        return candidates

    def require_references(self, section: CorpusSection, need: ReferenceNeed) -> None:
        """Refuse few-shot work where a category has too few normal references.

        Args:
            section: the corpus' config.
            need: references that every category needs, and the key that asks for them.

        Raises:
            UserError: a category has too few references; says what to add.
        """
        for category, candidates in sorted(self.reference_candidates(section).items()):
            available = candidates.available
            if available < need.shots:
                source = next(s for s in self.sources if any(e.category == category for e in s.entries))
                root = source.source.root
                renamed = source.source.category or source.source.categories
                where = f"{root}/{category}/references" if source.layout == "folder" and not renamed else root
                raise UserError(
                    f'Category "{category}" has {available} normal reference images and {need.key}='
                    f"{need.shots} needs {need.shots}{self._doubts(category)}: put normal images "
                    f"into {where}, name them in "
                    f'{source.key}.references.{category}, let "agssp references CONFIG" propose some, or set '
                    f"{need.key}=0 (zero-shot)."
                )

    @cached_property
    def levels(self) -> list[Levels | None]:
        """Black and white of each source, measured on its images; None where each image takes its own."""
        own = [
            None
            if source.source.levels is None
            else source_levels(
                [source.uri(entry) for entry in source.entries if entry.fault is None], source.source.levels
            )
            for source in self.sources
        ]
        return [own[self.section.levels_source(place)] for place in range(len(own))]

    def table(self, levels: Sequence[Levels | None] = ()) -> pa.Table:
        """The rows to inspect, schema `LISTED`.

        Args:
            levels: result of `levels`; without them no row has any.
        """
        return pa.Table.from_batches(self.batches(levels), schema=LISTED)

    def batches(self, levels: Sequence[Levels | None] = ()) -> Iterator[pa.RecordBatch]:
        """The rows of `table`, some thousand at once."""
        each = levels or [None] * len(self.sources)
        for source, pair in zip(self.sources, each, strict=True):
            yield from source.batches(pair)

    def uris(self) -> pa.Array:
        """The paths or URIs of all images, in the order of `table`."""
        arrays = (array for source in self.sources for array in source.uri_arrays())
        return pa.concat_arrays([pa.array([], pa.large_string()), *arrays])

    def _doubts(self, category: str) -> str:
        """How many images of a category can't be called normal, and why; empty where there are none."""
        found = [doubts[False] for source in self.sources if False in (doubts := source.doubts(category))]
        count = sum(number for number, _ in found)
        return f" ({count} more can't be called normal: {found[0][1].doubt})" if found else ""
