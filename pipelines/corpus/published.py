"""The published split of a corpus: which images its sources' files hold out, and what had to be moved."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PublishedSplit:
    """What the files of a corpus' sources say of the split.

    Attributes:
        held_out: URIs of the labelled images that are published as held out.
        stated: URI → the splits (`train`, `val`, `test`) that name it; images that none names are left out.
    """

    held_out: frozenset[str]
    stated: Mapping[str, frozenset[str]]

    def words(self, uri: str) -> str | None:
        """The splits that name an image; None where none does."""
        return ", ".join(sorted(self.stated.get(uri, ()))) or None


def published_ids(
    published: PublishedSplit,
    rows: Iterable[Mapping[str, Any]],
    groups: Iterable[Sequence[str]],
    *,
    labelled: Set[str],
    references: Set[str],
) -> tuple[set[str], list[dict[str, Any]]]:
    """The held-out images as published, but with near-duplicates and equal bytes on one side.

    A group of near-duplicates with a held-out member is held out whole. One with a member that can't be held
    out (a normal reference, an image without labels) stays whole in the pretraining corpus, as in
    `held_out_images`.

    Args:
        published: what the files say.
        rows: readable images, copies too: `uri`, `image_id`.
        groups: image ids, each in one group; an image without near-duplicates is a group of its own.
        labelled: ids of the labelled images.
        references: ids of the normal references.

    Returns:
        Ids of the images held out; rows of `MOVED`, one a file that is not on the side that its files say, or
        that they name for both.
    """
    copies: dict[str, list[str]] = {}
    for row in rows:
        copies.setdefault(row["image_id"], []).append(row["uri"])
    # Of several copies with one content the held-out one comes first.
    first = {
        image_id: min(uris, key=lambda uri: (uri not in published.held_out, uri))
        for image_id, uris in copies.items()
    }
    stated = {image_id for image_id, uri in first.items() if uri in published.held_out}
    held_out: set[str] = set()
    moved: list[dict[str, Any]] = []
    for members in groups:
        named = [member for member in members if member in stated]
        if not named:
            continue
        stuck = next((one for one in members if one not in labelled or one in references), None)
        if stuck is None:
            held_out.update(members)
        for member in members:
            for uri in copies[member]:
                if stuck is None:
                    reason = _to_test(uri, first[member], first[named[0]], published)
                elif uri in published.held_out:
                    what = "a normal reference" if stuck in references else "an image without labels"
                    near = f"in one group of near-duplicates with {first[stuck]}, "
                    reason = f"it is {'' if member == stuck else near}{what}"
                else:
                    reason = None
                if reason is not None:
                    split = "test" if stuck is None else "train" if member in labelled else "unlabelled"
                    about = {"image_id": member, "uri": uri, "published": published.words(uri)}
                    moved.append({**about, "split": split, "reason": reason})
    return held_out, sorted(moved, key=lambda row: str(row["uri"]))


def _to_test(uri: str, first: str, named: str, published: PublishedSplit) -> str | None:
    """Why a file of a held-out group was moved; None where it was published so, and only so.

    Args:
        uri: the file.
        first: the first file of its content.
        named: a file of the group that is published as held out.
        published: what the files say.
    """
    if uri in published.held_out:
        return "it is published for training too" if "train" in published.stated[uri] else None
    if first in published.held_out:
        return f"it has the same content as {first}, which is published as held out"
    return f"it is in one group of near-duplicates with {named}, which is published as held out"


def moved_sentence(moved: int, held_out: int, key: str, table: str) -> str:
    """What the user must hear of images that are not on their published side.

    Args:
        moved: files moved.
        held_out: images held out in the end.
        key: dotted path of the corpus' section.
        table: where they are listed.
    """
    return (
        f"{key}.split=published: {moved} files are not on the side where they are published, as equal or "
        f"nearly equal images would be on both, and {held_out} images are held out now, so figures are not "
        f"those of the published test; {table} lists them with the reasons, a lower "
        f"{key}.near_duplicate_distance moves fewer."
    )
