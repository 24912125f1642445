"""A detector on one image in tiles."""

import numpy as np
import numpy.typing as npt
import torch

from pipelines.images import tile_corners
from training.metrics import Detections
from training.models import DetectorTiles
from training.models.detectors import MIN_SCORE, Detector
from training.prediction.batch import detect_batch
from training.prediction.seams import joined_over_seams


def detect_tiled(
    detector: Detector,
    image: npt.NDArray[np.uint8],
    cut: DetectorTiles,
    *,
    device: torch.device,
    batch_size: int,
    min_score: float = MIN_SCORE,
) -> Detections:
    """Boxes of an image, best first, in its pixels; see `joined_over_seams`.

    Args:
        detector: the detector, on `device` and in eval mode.
        image: (H, W, 3) uint8 RGB.
        cut: how it is cut; an image that is not cut gives what `detect_batch` gives.
        device: device to run on.
        batch_size: tiles at once.
        min_score: least score of a box.

    Raises:
        UserError: see `Detector.predict`.
    """
    height, width = image.shape[:2]
    placing = detector.preprocessing
    across, down = cut.size(width, height, placing.shape, placing.resize == "square")
    corners = tile_corners(width, height, (across, down), cut.tile_overlap)
    tiles = [(left, top, left + across, top + down) for left, top in corners]
    found: list[Detections] = []
    for start in range(0, len(tiles), batch_size):
        some = tiles[start : start + batch_size]
        sizes = [(right - left, bottom - top) for left, top, right, bottom in some]
        inputs = [
            placing.place(*size).image(image[top:bottom, left:right])
            for size, (left, top, right, bottom) in zip(sizes, some, strict=True)
        ]
        results = detect_batch(detector, np.stack(inputs), sizes, device=device, min_score=min_score)
        for (left, top, *_), one in zip(some, results, strict=True):
            found.append(Detections(one.boxes + np.array([left, top, left, top]), one.scores, one.labels))
    return joined_over_seams(found, tiles, (width, height), detector.nms_iou)
