"""Stored maps of a corpus with their truth, loaded once for many thresholds. No Ray here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.annotations import decode_mask
from pipelines.maps import PARTS, map_grids
from pipelines.tables import IDENTITY, REFERENCE, SIZE, CorpusTables, LabelRow, box_array, has_defect

TruthKind = Literal["masks", "boxes", "none"]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """Images of one category to judge thresholds on.

    Attributes:
        maps: (n, g, g) anomaly maps M; of tiled images (rows, columns) each, of its own grid.
        scores: (n,) image scores A.
        sizes: (n, 2) width and height in pixels.
        normal: (n,) whether the image is known to have no defect.
        pixels: flat indices of the defective pixels of each image; empty where there is no mask.
        boxes: (k, 4) true boxes of each image, x0 y0 x1 y1.
        parts: (n, 2, g, g) M_zero and M_few where they are stored.
        ignored: (k, 4) regions of each image whose boxes are neither right nor wrong; empty: none has any.
    """

    maps: Floats | tuple[Floats, ...]
    scores: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64]
    normal: npt.NDArray[np.bool_]
    pixels: tuple[npt.NDArray[np.int64], ...]
    boxes: tuple[npt.NDArray[np.float64], ...]
    parts: Floats | None = None
    ignored: tuple[npt.NDArray[np.float64], ...] = ()

    def __len__(self) -> int:
        return len(self.maps)

    @property
    def with_truth(self) -> int:
        """Number of images with a true box or defective pixel."""
        return sum(bool(len(one) or len(other)) for one, other in zip(self.pixels, self.boxes, strict=True))

    @cached_property
    def maxima(self) -> Floats:
        """(n,) max M."""
        return np.array([each.max() for each in self.maps], np.float32)

    @property
    def median(self) -> float:
        """Median of all cells of all maps."""
        whole = self.maps if isinstance(self.maps, np.ndarray) else [each.ravel() for each in self.maps]
        return float(np.median(whole if isinstance(whole, np.ndarray) else np.concatenate(whole)))


@dataclass(frozen=True)
class CategoryMaps:
    """Everything that a category's thresholds need.

    Attributes:
        category: name of the category.
        maxima, scores: (m,) max M and A of every image that gets pseudo-boxes (no held-out one): the
            statistics of Eq. 10 and of δ.
        judged: images to choose values by.
        held_out: images of the test split, by which no value is chosen.
        part_maps: (m, 2, g, g) M_zero and M_few behind `maxima`, where they are stored.
    """

    category: str
    maxima: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    judged: Judged
    held_out: Judged
    part_maps: Floats | None = None

    def fused(self, few_weight: float, score_share: float) -> "CategoryMaps":
        """The same with another weight of M_few.

        Args:
            few_weight: weight w in M = 2((1 − w)·M_zero + w·M_few).
            score_share: share of max M in the image score: 1, or the released code's half.

        Raises:
            ValueError: the parts are not stored.
        """
        if self.part_maps is None:
            raise ValueError("the parts of the maps are not stored")
        maxima = _fuse(self.part_maps, few_weight).max((1, 2)).astype(np.float64)
        return replace(
            self,
            maxima=maxima,
            scores=self.scores + score_share * (maxima - self.maxima),
            judged=_refused(self.judged, few_weight, score_share),
            held_out=_refused(self.held_out, few_weight, score_share),
        )


def _fuse(parts: Floats, few_weight: float) -> Floats:
    fused: Floats = 2 * (np.float32(1 - few_weight) * parts[:, 0] + np.float32(few_weight) * parts[:, 1])
    return fused


def _refused(judged: Judged, few_weight: float, score_share: float) -> Judged:
    assert judged.parts is not None
    maps = _fuse(judged.parts, few_weight)
    change = _maxima(maps) - judged.maxima.astype(np.float64)
    return replace(judged, maps=maps, scores=judged.scores + score_share * change)


def _maxima(maps: Floats) -> npt.NDArray[np.float64]:
    maxima: npt.NDArray[np.float64] = maps.max((1, 2), initial=-np.inf).astype(np.float64)
    return maxima


def read_stored_maps(corpus: Storage, maps: Storage) -> tuple[tuple[CategoryMaps, ...], TruthKind]:
    """The maps and truth of two artifacts.

    The judged images are the labelled ones of the training split without references, whose maps are made of
    themselves. Where no defect is labelled there, they are all other images outside the test split, and
    there is no truth.

    Args:
        corpus, maps: the artifacts' directories.

    Returns:
        Categories in the order of their names, and the best truth that every defective image has.

    Raises:
        UserError: the maps table is empty.
    """
    tables = CorpusTables(corpus)
    manifest = {row["image_id"]: row for row in tables.manifest()}
    labels = tables.labels()
    table = maps.read_table("maps")
    if table.num_rows == 0:
        raise UserError(f"{maps.uri} holds no maps; give the corpus images.")
    rows = table.select([name for name, _ in [*IDENTITY, *SIZE]] + ["score", "map_max"]).to_pylist()
    stack = map_grids(table)
    parts = np.stack([_stack(table, name) for name in PARTS], 1) if PARTS[0] in table.column_names else None

    def judged_by(place: int) -> bool:
        row = manifest[rows[place]["image_id"]]
        return rows[place]["image_id"] in labels and row["role"] != REFERENCE

    kind: TruthKind = "none"
    population = [n for n, row in enumerate(rows) if manifest[row["image_id"]]["split"] != "test"]
    held = [n for n in range(len(rows)) if n not in set(population) and judged_by(n)]
    chosen = [n for n in population if judged_by(n)]
    if not any(labels[rows[n]["image_id"]]["boxes"] for n in chosen):
        chosen = [n for n in population if manifest[rows[n]["image_id"]]["role"] != REFERENCE]
        held = []
    else:
        kind = truth_kind(labels[rows[n]["image_id"]] for n in (*chosen, *held))
    references = [n for n in population if manifest[rows[n]["image_id"]]["role"] == REFERENCE]
    categories = []
    for category in sorted({row["category"] for row in rows}):

        def of_category(places: Iterable[int], name: str = category) -> list[int]:
            return [n for n in places if rows[n]["category"] == name]

        # Without truth, references are the one thing known: nothing should be found on them.
        extra = of_category(references) if kind == "none" else []
        members = of_category(population)
        if not members:
            continue
        categories.append(
            CategoryMaps(
                category,
                np.array([rows[n]["map_max"] for n in members]),
                np.array([rows[n]["score"] for n in members]),
                _judged(of_category(chosen) + extra, rows, labels, stack, parts, kind, frozenset(extra)),
                _judged(of_category(held), rows, labels, stack, parts, kind, frozenset()),
                None if parts is None else parts[members],
            )
        )
    return tuple(categories), kind


def truth_kind(labels: Iterable[LabelRow]) -> TruthKind:
    """`masks` when every image with a defect has a mask too, else `boxes`."""
    return "masks" if all(row["mask"] is not None for row in labels if has_defect(row)) else "boxes"


def _stack(table: pa.Table, name: str) -> Floats:
    stack = table.column(name).combine_chunks().to_numpy_ndarray().astype(np.float32)
    return np.asarray(stack, np.float32)


def _together(maps: Sequence[Floats]) -> Floats | tuple[Floats, ...]:
    if not maps:
        return np.zeros((0, 0, 0), np.float32)
    return np.stack(maps) if len({each.shape for each in maps}) == 1 else tuple(maps)


def _judged(
    places: Sequence[int],
    rows: Sequence[Mapping[str, Any]],
    labels: Mapping[str, LabelRow],
    stack: Sequence[Floats],
    parts: Floats | None,
    kind: TruthKind,
    normal: frozenset[int],
) -> Judged:
    pixels, boxes, ignored, good = [], [], [], []
    for place in places:
        row = rows[place]
        label = labels.get(row["image_id"]) if kind != "none" else None
        boxes.append(box_array(label["boxes"] if label else []))
        ignored.append(box_array(label["ignored"] if label else []))
        runs = label["mask"] if label and kind == "masks" else None
        mask = decode_mask(runs, row["width"], row["height"]) if runs is not None else np.zeros((0, 0), bool)
        pixels.append(np.flatnonzero(mask))
        good.append(place in normal or (label is not None and not has_defect(label)))
    return Judged(
        _together([stack[place] for place in places]),
        np.array([rows[n]["score"] for n in places], dtype=np.float64),
        np.array([[rows[n]["width"], rows[n]["height"]] for n in places], dtype=np.int64).reshape(-1, 2),
        np.array(good, dtype=np.bool_),
        tuple(pixels),
        tuple(boxes),
        None if parts is None else parts[list(places)],
        tuple(ignored) if any(len(regions) for regions in ignored) else (),
    )
