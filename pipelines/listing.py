"""Every image of a corpus before any is read: its sources as their layouts read them, checked."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

import pyarrow as pa

from cluster.errors import UserError, nearest
from pipelines.annotations import Annotation
from pipelines.corpus import LISTED, CorpusSection
from pipelines.layouts import Entry, find_layout
from pipelines.layouts.tree import list_tree
from pipelines.sources import Source


class SourceListing:
    """One source as its layout reads it.

    Args:
        source: its config, with a root.
        key: dotted path of that config, for messages.

    Attributes:
        layout: the name of the layout that was found.
        entries: its images, categories renamed as the config says.

    Raises:
        UserError: no folder, no image, broken tables of annotations, an unknown category or reference path.
    """

    def __init__(self, source: Source, key: str) -> None:
        self.source, self.key = source, key
        self.tree = list_tree(source.root, f"{key}.root")
        layout = find_layout(source.layout, self.tree)
        self.layout = layout.name
        entries = list(layout.read(self.tree))
        if not any(entry.fault is None for entry in entries):
            raise UserError(
                f"{source.root} holds image files, but none where the layout {layout.name} expects them; "
                f"set {key}.layout to another one or move the images."
            )
        self._check_categories({entry.category for entry in entries})
        self.entries = [replace(entry, category=self._category(entry.category)) for entry in entries]
        self._check_references()

    def _check_categories(self, known: set[str]) -> None:
        for name in self.source.categories:
            if self.source.category:
                raise UserError(f"{self.key}: give either category or categories, not both.")
            if name not in known:
                raise UserError(
                    f'{self.key}.categories names "{name}", which the layout {self.layout} does not find in '
                    f"{self.source.root}; {nearest(name, known)}"
                )

    def _category(self, name: str) -> str:
        return self.source.category or self.source.categories.get(name, name)

    def _check_references(self) -> None:
        known = {entry.path: entry.category for entry in self.entries if entry.fault is None}
        categories = set(known.values())
        for category, names in self.source.references.items():
            if category not in categories:
                raise UserError(
                    f'{self.key}.references names the category "{category}", which {self.source.root} does '
                    f"not have; it has: {', '.join(sorted(categories)[:20])}."
                )
            for name in names:
                if known.get(name) != category:
                    raise UserError(
                        f'{self.key}.references.{category} names "{name}", which is no image of that '
                        f"category below {self.source.root}; give paths relative to it."
                    )

    def rows(self) -> Iterator[tuple[dict[str, object], str]]:
        """Rows of `LISTED`, each with what changes when one of its files does (sizes and times)."""
        for entry in self.entries:
            note = entry.annotation
            files = [entry.path, *(note.files if note else ())]
            states = [self.tree.files.get(PurePosixPath(file)) for file in files]
            yield self._row(entry), repr(states)

    def _row(self, entry: Entry) -> dict[str, object]:
        return {
            "uri": self.uri(entry),
            "path": entry.path,
            "category": entry.category,
            "normal": entry.normal,
            "labelled": entry.labelled,
            "annotation": self._annotation(entry.annotation) if entry.annotation else None,
            "fault": entry.fault,
        }

    def _annotation(self, annotation: Annotation) -> dict[str, object]:
        return {
            **vars(annotation),
            "files": [self.tree.uri(file) for file in annotation.files],
        }

    def uri(self, entry: Entry) -> str:
        """Where an entry's image is."""
        return self.tree.uri(entry.path)


class Listing:
    """Every image file of a corpus as its layouts read it, before any pixel is read.

    Args:
        section: the corpus' config, with a root or sources.

    Raises:
        UserError: see `SourceListing`; a file that belongs to two sources.
    """

    def __init__(self, section: CorpusSection) -> None:
        self.sources = [SourceListing(source, key) for key, source in section.keyed_sources()]
        self.entries = [entry for source in self.sources for entry in source.entries]
        self.layout = ", ".join(dict.fromkeys(source.layout for source in self.sources))
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
        found = hashlib.sha256()
        for source in self.sources:
            for row, state in source.rows():
                found.update(f"{sorted(row.items())!r}\0{state}\n".encode())
        return found.hexdigest()

    def reference_candidates(self, section: CorpusSection) -> dict[str, list[str]]:
        """URIs that may serve as normal references, by category (every category has a row).

        An image that an annotation may yet call normal is among them.
        """
        found: dict[str, list[str]] = {entry.category: [] for entry in self.entries}
        named = section.named_references()
        for source in self.sources:
            chosen = {(c, path) for c, paths in source.source.references.items() for path in paths}
            for entry in source.entries:
                may = entry.normal or (entry.annotation is not None and entry.annotation.empty_is_normal)
                if (entry.category, entry.path) in chosen if entry.category in named else may:
                    found[entry.category].append(source.uri(entry))
        return found

    def require_references(self, section: CorpusSection, shots: int) -> None:
        """Refuse few-shot work where a category has too few normal references.

        Raises:
            UserError: naming the category and what to add.
        """
        named = section.named_references()
        for category, uris in sorted(self.reference_candidates(section).items()):
            most = max(section.reference_count, len(uris) if category in named else 0)
            available = min(len(uris), most)
            if available < shots:
                source = next(s for s in self.sources if any(e.category == category for e in s.entries))
                root = source.source.root
                renamed = source.source.category or source.source.categories
                where = f"{root}/{category}/references" if source.layout == "folder" and not renamed else root
                raise UserError(
                    f'Category "{category}" has {available} normal reference images and maps.kead.shots='
                    f"{shots} needs {shots}: put normal images into {where}, name them in "
                    f"{source.key}.references.{category}, or set maps.kead.shots=0 (zero-shot)."
                )

    def table(self) -> pa.Table:
        """The rows to inspect, schema `LISTED`."""
        rows = [row for source in self.sources for row, _ in source.rows()]
        return pa.Table.from_pylist(rows, schema=LISTED)
