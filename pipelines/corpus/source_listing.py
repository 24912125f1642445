"""One source of a corpus before any image is read, as its layout reads it, checked."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from cluster.errors import UserError, nearest
from pipelines.annotations import Annotation
from pipelines.corpus.bad_labels import doubt_row, lost_row
from pipelines.corpus.entries import Entries
from pipelines.corpus.named_references import look_up
from pipelines.corpus.section import Source
from pipelines.corpus.source_split import SourceSplit
from pipelines.images import Levels
from pipelines.layouts import (
    LABEL_SUFFIXES,
    Entry,
    LostLabel,
    find_layout,
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
        self.lost: list[LostLabel] = []
        entries = Entries.of(self._images(layout.read(self.tree)))
        if not any(entry.fault is None for entry in entries):
            what = f"none where the layout {layout.name} expects them"
            for first in islice(entries, 1):
                what = f"none that can be used ({first.path}: {first.fault})"
            raise UserError(
                f"{source.root} holds image files, but {what}; set {key}.layout to another one, correct the "
                "labels or move the images."
            )
        self.published: SourceSplit | None = None
        if split_key:
            stated, unknown = stated_splits(self.layout, self.tree, entries)
            entries = Entries.of(stated)
            self.published = SourceSplit(source.root, entries, unknown)
            self.published.require(self.layout, key, split_key)
        self._check_categories(entries.categories)
        self.entries = entries.renamed(self._category)
        self.passed_over = self._passed_over()
        references = look_up(
            source.references,
            f"{key}.references",
            self.tree.root,
            self.entries,
        )
        self.named, self._outside = references.named, references.files
        self.entries += Entries.of(references.outside)

    def _images(self, found: Iterable[Entry | LostLabel]) -> Iterator[Entry]:
        for one in found:
            if isinstance(one, LostLabel):
                self.lost.append(one)
            else:
                yield one

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
        labels = self.tree.files.places(LABEL_SUFFIXES)
        if not len(labels):
            return ()
        names = self.tree.files.names
        read = np.zeros(len(names), np.bool_)
        for entry in self.entries:
            for file in (entry.path, *(entry.annotation.files if entry.annotation else ())):
                if (place := names.place(str(PurePosixPath(file)))) is not None:
                    read[place] = True
        left = (names[place].decode() for place in labels[~read[labels]].tolist())
        return tuple(name for name in left if PurePosixPath(name) not in self.tree.tables)

    def doubts(self, category: str | None = None) -> dict[bool, tuple[int, Entry]]:
        """How many images are in doubt, and the first of them, by `Entry.defective`.

        Args:
            category: the only category that counts; None for all.
        """
        found: dict[bool, tuple[int, Entry]] = {}
        for entry in self.entries:
            if entry.doubt and category in (None, entry.category):
                count, first = found.get(entry.defective, (0, entry))
                found[entry.defective] = count + 1, first
        return found

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
                states = [self.tree.files.state(str(PurePosixPath(file))) for file in files]
            yield self._row(entry), states

    def batches(self, levels: Levels | None) -> Iterator[pa.RecordBatch]:
        """The rows of `LISTED`, some thousand at once."""
        for entries in self.entries.pieces():
            rows = [{**self._row(entry), "levels": levels} for entry in entries]
            yield pa.RecordBatch.from_pylist(rows, schema=LISTED)

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

    def uri_arrays(self) -> Iterator[pa.LargeStringArray]:
        """The paths or URIs of the entries' images, in order, some thousand at once."""
        for entries in self.entries.pieces():
            yield pa.array([self.uri(entry) for entry in entries], pa.large_string())

    def uri(self, entry: Entry) -> str:
        """The path or URI of an entry's image."""
        return self.uri_of(entry.path)

    def uri_of(self, path: str) -> str:
        """The path or URI of the image with an entry's path."""
        return path if path in self._outside else self.tree.uri(path)
