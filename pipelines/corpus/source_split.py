"""The published split of one source: what it holds out, and what must be told of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from cluster.errors import UserError
from pipelines.layouts import Entry

TEST, VAL = "test", "val"


class SourceSplit:
    """Which images of a source its own files hold out.

    Args:
        root: the source's root, for messages.
        entries: its images, with their published splits; gone through several times.
        unknown: sentences on lists that name images that are not there.

    Attributes:
        held_out_by: the split that is held out: `val` where no labelled image is published as `test`.
        held_out: paths of the labelled images of that split.
    """

    def __init__(self, root: str, entries: Iterable[Entry], unknown: Sequence[str]) -> None:
        self.root, self._unknown = root, unknown
        self._all = entries
        tested = any(TEST in entry.published for entry in self._entries() if entry.labelled)
        self.held_out_by = TEST if tested else VAL
        self.held_out = frozenset(
            entry.path for entry in self._entries() if entry.labelled and self.held_out_by in entry.published
        )

    def _entries(self) -> Iterator[Entry]:
        return (entry for entry in self._all if entry.fault is None)

    def require(self, layout: str, key: str, split_key: str) -> None:
        """Refuse a source whose files state no split.

        Args:
            layout: its layout's name.
            key: dotted path of its config.
            split_key: dotted path of `split`.

        Raises:
            UserError: none of its images has a published split.
        """
        if not any(entry.published for entry in self._entries()):
            raise UserError(
                f"{self.root} ({key}) states no published split that the layout {layout} knows; set "
                f"{split_key}=content, or add the files or folders that state it."
            )

    def counted(self) -> str:
        """How many images each split has, in words."""
        every = Counter(name for entry in self._entries() for name in entry.published)
        labelled = Counter(name for entry in self._entries() if entry.labelled for name in entry.published)
        return ", ".join(f"{name} {every[name]} ({labelled[name]} labelled)" for name in sorted(every))

    def warnings(self) -> list[str]:
        """What the user must hear of a split that can be used."""
        told = list(self._unknown)
        if self.held_out_by == VAL and self.held_out:
            told.append(f"{self.root}: no labelled image is published as test, so val is held out")
        bare = [e for e in self._entries() if self.held_out_by in e.published and not e.labelled]
        if bare:
            told.append(
                f"{self.root}: images published as {self.held_out_by} but without labels, not held out, so "
                f"pretraining sees them: {len(bare)} ({bare[0].path})"
            )
        unnamed = [entry for entry in self._entries() if not entry.published]
        if unnamed:
            told.append(
                f"{self.root}: images that no published split names, taken for training: {len(unnamed)} "
                f"({unnamed[0].path})"
            )
        return told


def require_held_out(sources: Sequence[SourceSplit], split_key: str) -> None:
    """Refuse a corpus whose published splits hold out no labelled image.

    Raises:
        UserError: there is none; says what each source has.
    """
    if not any(source.held_out for source in sources):
        splits = "; ".join(f"{source.root}: {source.counted()}" for source in sources[:3])
        raise UserError(
            f"The published split has no labelled image in test or val ({splits}); set {split_key}=content."
        )
