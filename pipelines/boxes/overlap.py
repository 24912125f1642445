"""How much boxes overlap: common areas, intersection over union, shares within regions."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def areas(boxes: Floats) -> Floats:
    """(N,) areas of boxes (N, 4), x0 y0 x1 y1."""
    sides: Floats = boxes[:, 2:] - boxes[:, :2]
    area: Floats = sides[:, 0] * sides[:, 1]
    return area


def _shared(boxes: Floats, others: Floats) -> Floats:
    """(N, M) area that each of boxes (N, 4) shares with each of (M, 4), x0 y0 x1 y1."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared: Floats = np.maximum(high - low, 0).prod(axis=2)
    return shared


def ious(boxes: Floats, others: Floats) -> Floats:
    """(N, M) intersection over union of boxes (N, 4) and (M, 4), x0 y0 x1 y1, 0–1; 0 where both are empty."""
    shared = _shared(boxes, others)
    return _share(shared, areas(boxes)[:, None] + areas(others) - shared)


def shares_within(boxes: Floats, regions: Floats) -> Floats:
    """(N, M) share of each box of (N, 4) that lies in each region of (M, 4), 0–1; 0 where the box is empty.

    It is the overlap that COCO's protocol takes for crowds.
    """
    shared = _shared(boxes, regions)
    return _share(shared, np.broadcast_to(areas(boxes)[:, None], shared.shape))


def _share(shared: Floats, whole: Floats) -> Floats:
    share: Floats = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return share
