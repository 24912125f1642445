"""Precision, recall, F1 and IoU of each rule from its counts, with intervals over images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster.verdicts import drawn_counts, interval, unanimous_interval
from pipelines.audit.judging import COUNTS, SIZES, size_classes
from pipelines.tables import box_array

Array = npt.NDArray[np.float64]
NAMES = ("precision", "recall", "f1", "iou")


@dataclass(frozen=True)
class Figures:
    """What every candidate reached on some painted defects, (C,) each; NaN where nothing defines it.

    Attributes:
        values: `NAMES` → value.
        lows, highs: `NAMES` → ends of the 95 % interval; NaN from a single image.
        drawn_f1: (D, C) F1 on each drawn set of images.
        defects: number of painted defects.
        boxes, left_out: (C,) boxes that count, and those that are left out.
    """

    values: Mapping[str, Array]
    lows: Mapping[str, Array]
    highs: Mapping[str, Array]
    drawn_f1: Array
    defects: int
    boxes: Array
    left_out: Array


class CategoryTally:
    """The counts of one category's painted images, by candidate and size.

    Args:
        painted: rows of `AUDIT_IMAGES`.
        judged: their rows of `JUDGED`, in the same order.
        candidates: number of candidates.
        patches: number of patches of a map.
    """

    def __init__(
        self,
        painted: Sequence[Mapping[str, Any]],
        judged: Sequence[Mapping[str, Any]],
        candidates: int,
        patches: int,
    ) -> None:
        shape = (len(judged), candidates, len(SIZES))
        self.counts = {
            name: np.array([row[name] for row in judged], np.float64).reshape(shape)
            for name in (*COUNTS, "overlap")
        }
        self.plain = self.counts.pop("plain")
        self.kinds = np.array([row["kind"] for row in painted], object)
        self.normal = np.array([row["normal"] for row in painted], np.bool_)
        # A normal image is judged as it was too: every box there is wrong.
        self.counts["wrong"][self.judged_plain] += self.plain[self.judged_plain]
        originals = sorted({row["original"] for row in painted})
        self.originals = np.array([originals.index(row["original"]) for row in painted])
        self.defects = np.zeros((len(painted), len(SIZES)))
        for place, row in enumerate(painted):
            sizes = size_classes(box_array(row["boxes"]), row["width"] * row["height"] / patches)
            np.add.at(self.defects[place], sizes, 1)

    @property
    def judged_plain(self) -> npt.NDArray[np.bool_]:
        """(I,) which are painted copies of images that are known to be normal."""
        return np.array([kind is not None for kind in self.kinds], np.bool_) & self.normal

    @property
    def images(self) -> int:
        """Number of different images that were painted on."""
        return len(set(self.originals.tolist()))

    def groups(self) -> dict[str, tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
        """What figures are told for: name → which images and which sizes; `all` first."""
        every, sizes = np.ones(len(self.kinds), np.bool_), np.ones(len(SIZES), np.bool_)
        groups = {"all": (every, sizes)}
        for place, size in enumerate(SIZES):
            groups[f"size {size}"] = (every, np.arange(len(SIZES)) == place)
        for kind in sorted({kind for kind in self.kinds.tolist() if kind is not None}):
            groups[f"kind {kind}"] = (self.kinds == kind, sizes)
        return groups

    def figures(
        self, images: npt.NDArray[np.bool_], sizes: npt.NDArray[np.bool_], *, seed: int = 0
    ) -> Figures:
        """Figures of every candidate on some images and sizes.

        Images are drawn anew as a whole, with everything that was painted onto copies of one.

        Args:
            images: (I,) which painted images count.
            sizes: (3,) which sizes of defects and boxes count.
            seed: seed of the draws.
        """
        names, places = np.unique(self.originals[images], return_inverse=True)
        sums = {}
        for name, counts in self.counts.items():
            sums[name] = np.zeros((len(names), counts.shape[1]))
            np.add.at(sums[name], places, counts[images][:, :, sizes].sum(axis=2))
        defects = np.zeros((len(names), 1))
        np.add.at(defects, places, self.defects[images][:, sizes].sum(axis=1, keepdims=True))
        once = np.ones((1, len(names)))
        values = {name: value[0] for name, value in _figures(once, sums, defects).items()}
        none = np.full(self.plain.shape[1], np.nan)
        lows, highs = dict.fromkeys(NAMES, none), dict.fromkeys(NAMES, none)
        drawn_f1 = np.tile(values["f1"], (1, 1))
        if len(names) > 1:
            drawn = _figures(drawn_counts(len(names), seed=seed).astype(np.float64), sums, defects)
            drawn_f1 = drawn["f1"]
            ends = {name: _ends(value, len(names)) for name, value in drawn.items()}
            for name, (low, high) in ends.items():
                _widen(low, high, _speaking(name, sums, defects))
            lows, highs = ({name: both[place] for name, both in ends.items()} for place in (0, 1))
        return Figures(
            values,
            lows,
            highs,
            drawn_f1,
            int(defects.sum()),
            sums["right"].sum(axis=0) + sums["wrong"].sum(axis=0),
            sums["left_out"].sum(axis=0),
        )

    def plain_boxes(self) -> Array:
        """(C,) boxes that each candidate draws on an image known to be normal; NaN where none is known."""
        images = sorted({int(place) for place in self.originals[self.judged_plain]})
        if not images:
            return np.full(self.plain.shape[1], np.nan)
        first = [int(np.flatnonzero(self.originals == place)[0]) for place in images]
        return np.asarray(self.plain[first].sum(axis=2).mean(axis=0), np.float64)


def _figures(weights: Array, sums: Mapping[str, Array], defects: Array) -> dict[str, Array]:
    """(D, C) figures of (D, N) weights of images.

    F1 is 2·right / (boxes + defects), which is precision and recall's harmonic mean and 0 without a box.
    """
    right, wrong, overlap = (weights @ sums[name] for name in ("right", "wrong", "overlap"))
    there = weights @ defects
    return {
        "precision": _ratio(right, right + wrong),
        "recall": _ratio(right, there + 0 * right),
        "f1": _ratio(2 * right, right + wrong + there),
        "iou": _ratio(overlap, right),
    }


def _ratio(part: Array, whole: Array) -> Array:
    ratio: Array = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio


def _ends(values: Array, images: int) -> tuple[Array, Array]:
    """(C,) ends by drawing so many images anew; equal where all sets agree, NaN of too few that do not."""
    lows, highs = np.full((2, values.shape[1]), np.nan)
    for place, column in enumerate(values.T):
        known = column[~np.isnan(column)]
        if len(known) and (known == known[0]).all():
            lows[place] = highs[place] = known[0]
        else:
            lows[place], highs[place] = interval(column, images) or (np.nan, np.nan)
    return lows, highs


def _speaking(name: str, sums: Mapping[str, Array], defects: Array) -> Array | None:
    """(C,) images that count for a share; None of what is no share."""
    boxes = sums["right"] + sums["wrong"]
    wholes = {"precision": boxes, "recall": defects + 0 * boxes, "f1": boxes + defects}
    return None if name not in wholes else np.asarray((wholes[name] > 0).sum(axis=0), np.float64)


def _widen(lows: Array, highs: Array, images: Array | None) -> None:
    """Give intervals without a width, of draws that all agree, the width that so few images allow.

    Args:
        lows, highs: (C,) ends, changed in place.
        images: (C,) images that count; None where no width is known, so that there is no interval.
    """
    for place in np.flatnonzero(lows == highs):
        if images is None or lows[place] not in (0, 1):
            lows[place] = highs[place] = np.nan
        else:
            lows[place], highs[place] = unanimous_interval(lows[place], int(images[place]))
