"""A detector on one image in tiles."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from pipelines.images import ImageError, Levels, read_image, tile_corners
from training.metrics import Detections
from training.models import DetectorTiles, Preprocessing
from training.models.detectors import MIN_SCORE, Detector
from training.prediction.batch import detect_batch
from training.prediction.seams import joined_over_seams

TRIED = 8  # images whose files may be damaged
Tile = tuple[int, int, int, int]


def detect_tiled(
    detector: Detector,
    image: npt.NDArray[np.uint8],
    *,
    device: torch.device,
    batch_size: int,
    min_score: float = MIN_SCORE,
) -> Detections:
    """Boxes of an image, best first, in its pixels; see `joined_over_seams`.

    Args:
        detector: the detector, on `device` and in eval mode; it says how the image is cut. One that is not
            cut gives what `detect_batch` gives.
        image: (H, W, 3) uint8 RGB.
        device: device to run on.
        batch_size: tiles at once.
        min_score: least score of a box.

    Raises:
        UserError: see `Detector.predict`.
    """
    height, width = image.shape[:2]
    placing = detector.preprocessing
    tiles = tiles_of(width, height, detector.cut, placing)
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


def tiles_of_first(
    files: pa.Table, cut: DetectorTiles, preprocessing: Preprocessing, levels: Levels | None
) -> int:
    """Number of tiles of the first image that can be read; 1 where none of the first few can.

    Args:
        files: table with `uri`.
        cut: how images are cut.
        preprocessing: the detector's preprocessing.
        levels: black and white of images of more than 8 bits.
    """
    for uri in files.column("uri").slice(0, TRIED).to_pylist():
        try:
            height, width = read_image(uri, levels).shape[:2]
        except ImageError:
            continue
        return len(tiles_of(width, height, cut, preprocessing))
    return 1


def tiles_of(width: int, height: int, cut: DetectorTiles, placing: Preprocessing) -> list[Tile]:
    """Each tile's x0 y0 x1 y1 in pixels of an image of this width and height."""
    across, down = cut.size(width, height, placing.shape, placing.resize == "square")
    corners = tile_corners(width, height, (across, down), cut.tile_overlap)
    return [(left, top, left + across, top + down) for left, top in corners]
