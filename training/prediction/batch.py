"""A detector on a batch of laid-out images."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from training.metrics import Detections
from training.models.detectors import MIN_SCORE, Detector


def detect_batch(
    detector: Detector,
    inputs: npt.NDArray[np.uint8],
    sizes: Sequence[tuple[int, int]],
    *,
    device: torch.device,
    min_score: float = MIN_SCORE,
) -> list[Detections]:
    """Boxes of each image, best first, in pixels of the original and inside it.

    Args:
        detector: the detector, on `device` and in eval mode.
        inputs: (N, S, S, 3) RGB, each laid out by the detector's preprocessing.
        sizes: width and height of the originals, pixels.
        device: device to run on.
        min_score: least score of a box.

    Raises:
        UserError: see `Detector.predict`.
    """
    batch = torch.from_numpy(inputs).permute(0, 3, 1, 2).to(device).float() / 255
    results: list[Detections] = []
    placements = [detector.preprocessing.place(*size) for size in sizes]
    areas = [placement.area for placement in placements]
    predictions = detector.predict(batch, min_score=min_score, areas=areas)
    for size, placement, prediction in zip(sizes, placements, predictions, strict=True):
        boxes = placement.original(prediction.boxes.double().cpu().numpy()).clip(0, [*size, *size])
        scores = prediction.scores.double().cpu().numpy()
        results.append(Detections(boxes, scores, prediction.labels.cpu().numpy()))
    return results
