"""Every image of a corpus before any is read: its sources as their layouts read them, checked."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath

import pyarrow as pa

from cluster.errors import UserError, nearest
from pipelines.annotations import Annotation
from pipelines.corpus.bad_labels import described, doubt_row, first_names, lost_row
from pipelines.corpus.named_references import ReferenceCandidates, look_up
from pipelines.corpus.published import PublishedSplit
from pipelines.corpus.section import CorpusSection, ReferenceNeed, Source
from pipelines.corpus.source_split import SourceSplit, require_held_out
from pipelines.images import Levels, source_levels
from pipelines.layouts import (
    LABEL_SUFFIXES,
    Entry,
    LostLabel,
    find_layout,
    foreign_text,
    list_tree,
    stated_splits,
)
from pipelines.tables import LISTED


class SourceListing:
    """One source as its layout reads it.

    Args:
        source: the source's config, with a root.
        key: dotted path of that config, for messages.
        split_key: dotted path of `split` where it is `published`; "" where the split is by content.

    Attributes:
        layout: the name of the layout that was found.
        entries: the source's images, categories renamed by the config, and references from elsewhere.
        named: the references that the source's config names, by category.
        lost: labels that can be given to no image.
        passed_over: paths of files that may hold labels and that the layout does not read.
        published: which of the images its files hold out; None where the split is by content.

    Raises:
        UserError: no folder, no image, broken tables of annotations, an unknown category or reference path,
            no published split where it is asked for.
    """

    def __init__(self, source: Source, key: str, split_key: str = "") -> None:
        self.source, self.key = source, key
        self.tree = list_tree(source.root, f"{key}.root", follow_links=source.follow_links)
        layout = find_layout(source.layout, self.tree)
        self.layout = layout.name
        labels_and_images = list(layout.read(self.tree))
        self.lost = [one for one in labels_and_images if isinstance(one, LostLabel)]
        entries = [one for one in labels_and_images if isinstance(one, Entry)]
        if not any(entry.fault is None for entry in entries):
            where = f"none where the layout {layout.name} expects them"
            what = f"none that can be used ({entries[0].path}: {entries[0].fault})" if entries else where
            raise UserError(
                f"{source.root} holds image files, but {what}; set {key}.layout to another one, correct the "
                "labels or move the images."
            )
        self.published: SourceSplit | None = None
        if split_key:
            entries, unknown = stated_splits(self.layout, self.tree, entries)
            self.published = SourceSplit(source.root, entries, unknown)
            self.published.require(self.layout, key, split_key)
        self._check_categories({entry.category for entry in entries})
        self.entries = [replace(entry, category=self._category(entry.category)) for entry in entries]
        self.passed_over = self._passed_over()
        references = look_up(
            source.references,
            f"{key}.references",
            self.tree.root,
            [e for e in self.entries if e.fault is None],
        )
        self.named, self._outside = references.named, references.files
        self.entries += references.outside

    def _check_categories(self, known: set[str]) -> None:
        for name in self.source.categories:
            if self.source.category:
                raise UserError(f"{self.key}: give either category or categories, not both.")
            if name not in known:
                raise UserError(
                    f'{self.key}.categories names "{name}", which the layout {self.layout} does not find in '
                    f"{self.source.root}; {nearest(name, known)}"
                )

    def _passed_over(self) -> tuple[str, ...]:
        read = set(self.tree.tables)
        for entry in self.entries:
            read.add(PurePosixPath(entry.path))
            read.update(PurePosixPath(file) for file in (entry.annotation.files if entry.annotation else ()))
        return tuple(str(path) for path in self.tree.ending(*LABEL_SUFFIXES) if path not in read)

    def label_faults(self) -> list[dict[str, object]]:
        """Rows of the table `BAD_LABELS`: lost labels, and images that they put in doubt."""
        lost = [lost_row(label, self.tree.uri(label.file)) for label in self.lost]
        return lost + [doubt_row(entry.doubt, self.uri(entry)) for entry in self.entries if entry.doubt]

    def _category(self, name: str) -> str:
        return self.source.category or self.source.categories.get(name, name)

    def rows(self) -> Iterator[tuple[dict[str, object], list[tuple[int, int] | None]]]:
        """Rows of `LISTED`, each with size and time of its image and of its label's files."""
        for entry in self.entries:
            note = entry.annotation
            files = [entry.path, *(note.files if note else ())]
            about = self._outside.get(entry.path)
            states: list[tuple[int, int] | None] = [about] if about else []
            if not about:
                states = [self.tree.files.get(PurePosixPath(file)) for file in files]
            yield self._row(entry), states

    def _row(self, entry: Entry) -> dict[str, object]:
        return {
            "uri": self.uri(entry),
            "path": entry.path,
            "category": entry.category,
            "normal": entry.normal,
            "labelled": entry.labelled,
            "annotation": vars(truth) if (truth := self.truth(entry)) else None,
            "fault": entry.fault,
        }

    def truth(self, entry: Entry) -> Annotation | None:
        """An entry's annotation, its files by URI, to be read as the source's config says."""
        if entry.annotation is None:
            return None
        files = tuple(self.tree.uri(file) for file in entry.annotation.files)
        return replace(entry.annotation, files=files, crowds=self.source.crowds)

    def uri(self, entry: Entry) -> str:
        """The path or URI of an entry's image."""
        return self.uri_of(entry.path)

    def uri_of(self, path: str) -> str:
        """The path or URI of the image with an entry's path."""
        return path if path in self._outside else self.tree.uri(path)


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
        self.entries = [entry for source in self.sources for entry in source.entries]
        self.layout = ", ".join(dict.fromkeys(source.layout for source in self.sources))
        if split_key:
            require_held_out([source.published for source in self.sources if source.published], split_key)
        owner: dict[str, str] = {}
        for source in self.sources:
            for entry in source.entries:
                other = owner.setdefault(source.uri(entry), source.key)
                if other != source.key:
                    raise UserError(
                        f"{source.uri(entry)} belongs to {other} and to {source.key}; let no root lie in "
                        "another."
                    )

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
            root, doubts = source.source.root, [entry for entry in source.entries if entry.doubt]
            if source.lost:
                first = lost_row(source.lost[0], source.tree.uri(source.lost[0].file))
                told.append(f"{root}: labels of no image, left out: {len(source.lost)} ({described(first)})")
            for entries, what in (
                (
                    [entry for entry in doubts if not entry.defective],
                    "images taken as unlabelled, not as normal",
                ),
                ([entry for entry in doubts if entry.defective], "images of defects taken as unlabelled"),
            ):
                if entries:
                    told.append(f"{root}: {what}: {len(entries)} ({entries[0].path}: {entries[0].doubt})")
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
        marked: dict[str, list[str]] = {entry.category: [] for entry in self.entries}
        for source in self.sources:
            for entry in source.entries:
                normal = entry.normal or (entry.annotation is not None and entry.annotation.empty_is_normal)
                if normal and source.uri(entry) not in held_out:
                    marked[entry.category].append(source.uri(entry))
        candidates = {
            name: ReferenceCandidates(tuple(uris), section.reference_count) for name, uris in marked.items()
        }
        for category in {name for source in self.sources for name in source.named}:
            naming = [source for source in self.sources if category in source.named]
            uris = [source.uri_of(path) for source in naming for path in source.named[category].paths]
            single = all(source.named[category].single for source in naming)
            candidates[category] = ReferenceCandidates(
                tuple(uris), None if single else section.reference_count, named=True
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
        each = levels or [None] * len(self.sources)
        rows = [
            {**row, "levels": pair}
            for source, pair in zip(self.sources, each, strict=True)
            for row, _ in source.rows()
        ]
        return pa.Table.from_pylist(rows, schema=LISTED)

    def _doubts(self, category: str) -> str:
        """How many images of a category can't be called normal, and why; empty where there are none."""
        own = (e for source in self.sources for e in source.entries if e.category == category)
        doubts = [entry.doubt for entry in own if entry.doubt and not entry.defective]
        return f" ({len(doubts)} more can't be called normal: {doubts[0]})" if doubts else ""
