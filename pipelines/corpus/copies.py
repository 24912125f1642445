"""Files of the same content: which of them is kept, and images that a copy contradicts."""

from collections.abc import Set
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.corpus.bad_labels import doubt_row
from pipelines.corpus.places import Flags, Places, among, filled, first_of_each, flags, places_in
from pipelines.tables import DUPLICATES, QUARANTINE


class Copies:
    """Inspected images by what they hold.

    Args:
        images: rows of `inspect`.
        test_uris: URIs of images that are held out.

    Attributes:
        bad: which can't be used, (N,).
        order: all places, (N,): held-out images before labelled ones before any other, each by URI. The first
            copy of a content is kept.
    """

    def __init__(self, images: pa.Table, test_uris: Set[str]) -> None:
        self._images = images
        self.bad = _bad(images)
        keys = {
            "late": pa.array(~among(images["uri"], test_uris)).cast(pa.int8()),
            "unlabelled": pa.array(~flags(images["labelled"])).cast(pa.int8()),
            "uri": images["uri"],
        }
        by = [(name, "ascending") for name in keys]
        self.order: Places = pc.sort_indices(pa.table(keys), sort_keys=by).to_numpy().astype(np.int64)
        self._good = self.order[~self.bad[self.order]]
        self._first = self._good[first_of_each(images["image_id"].take(pa.array(self._good)))]

    def quarantine(self) -> pa.Table:
        """The images that can't be used, schema `QUARANTINE`."""
        rows = self._images.select(["uri", "error"]).take(pa.array(self.order[self.bad[self.order]]))
        stage = pa.repeat("corpus", rows.num_rows)
        return pa.table([rows["uri"], stage, rows["error"]], names=QUARANTINE.names).cast(QUARANTINE)

    def duplicates(self) -> pa.Table:
        """The copies that are not kept, schema `DUPLICATES`."""
        copied = self._first != self._good
        rows = self._images.select(["uri", "image_id"]).take(pa.array(self._good[copied]))
        first = self._images["uri"].take(pa.array(self._first[copied]))
        return pa.table([rows["uri"], first, rows["image_id"]], names=DUPLICATES.names).cast(DUPLICATES)

    def different(self) -> Places:
        """The places of the images that are kept, by their ids."""
        kept = self._good[self._first == self._good]
        return np.asarray(kept[pc.sort_indices(self._images["image_id"].take(pa.array(kept))).to_numpy()])


def without_contradictions(images: pa.Table) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Make normal images unlabelled where a copy of the same content has a defect or a label at fault.

    Args:
        images: rows of `inspect`.

    Returns:
        The rows; a row of `BAD_LABELS` for each of these images.
    """
    bad, normal, labelled = _bad(images), flags(images["normal"]), flags(images["labelled"])
    against: Flags = flags(images["image_id"].is_valid())
    against &= bad | filled(images["boxes"]) | (labelled & ~normal)
    defects = images.select(["image_id", "uri"]).filter(pa.array(against))
    first = np.unique(first_of_each(defects["image_id"]))
    defects = defects.take(pa.array(first))
    doubted = np.flatnonzero(normal & ~bad & among(images["image_id"], defects["image_id"]))
    if not len(doubted):
        return images, []
    rows = images.select(["image_id", "uri"]).take(pa.array(doubted))
    others = defects["uri"].take(pa.array(places_in(defects["image_id"], rows["image_id"])))
    faults = [
        doubt_row(
            f"it would be normal, but the same image has a defect or a label at fault as {other}", str(uri)
        )
        for uri, other in zip(rows["uri"].to_pylist(), others.to_pylist(), strict=True)
    ]
    normal, labelled = normal.copy(), labelled.copy()
    normal[doubted] = labelled[doubted] = False
    for name, values in (("normal", normal), ("labelled", labelled)):
        images = images.set_column(images.column_names.index(name), name, pa.array(values))
    return images, faults


def _bad(images: pa.Table) -> Flags:
    return flags(pc.not_equal(images["error"], ""))
