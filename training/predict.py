"""A trained detector on image files: boxes in the pixels of the original."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipelines.images import ImageError, read_image
from training.detectors import Detector
from training.detectors.base import MIN_SCORE
from training.letterbox import Placement


@dataclass(frozen=True)
class ImagePrediction:
    """What was found in one image, best first.

    Attributes:
        image_id, uri: as given.
        width, height: of the original, pixels.
        boxes: (N, 4) float64 x0 y0 x1 y1 in pixels of the original, inside it.
        scores: (N,) float64 in [0, 1].
        labels: (N,) int64, index into the detector's classes.
    """

    image_id: str
    uri: str
    width: int
    height: int
    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]

    def row(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """As a row of the predictions table: labels by name."""
        sides = ("x0", "y0", "x1", "y1")
        found = zip(self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True)
        return {
            "image_id": self.image_id,
            "uri": self.uri,
            "width": self.width,
            "height": self.height,
            "boxes": [
                {**dict(zip(sides, box, strict=True)), "score": score, "label": classes[label]}
                for box, score, label in found
            ],
        }


@dataclass(frozen=True)
class UnreadableImage:
    """An image left out, and why."""

    image_id: str
    uri: str
    reason: str


def predict(
    detector: Detector,
    images: Mapping[str, str],
    *,
    device: torch.device,
    batch_size: int = 16,
    min_score: float = MIN_SCORE,
) -> Iterator[ImagePrediction | UnreadableImage]:
    """Run a detector over files, batch by batch; one result per image, the unreadable of a batch first.

    Args:
        detector: moved to `device`.
        images: image_id → path or URI.
        device: to run on.
        batch_size: images at once.
        min_score: boxes below are dropped.
    """
    detector = detector.to(device).eval()
    waiting = iter(images.items())
    while chunk := list(islice(waiting, batch_size)):
        inputs: list[npt.NDArray[np.uint8]] = []
        read: list[tuple[str, str, tuple[int, int], Placement]] = []
        for image_id, uri in chunk:
            try:
                pixels = read_image(uri)
            except ImageError as error:
                yield UnreadableImage(image_id, uri, str(error))
                continue
            height, width = pixels.shape[:2]
            placement = detector.preprocessing.place(width, height)
            inputs.append(placement.image(pixels))
            read.append((image_id, uri, (width, height), placement))
        if not read:
            continue
        batch = torch.from_numpy(np.stack(inputs)).permute(0, 3, 1, 2).to(device).float() / 255
        for (image_id, uri, size, placement), found in zip(
            read, detector.predict(batch, min_score=min_score), strict=True
        ):
            boxes = placement.original(found.boxes.double().cpu().numpy()).clip(0, [*size, *size])
            scores, labels = found.scores.double().cpu().numpy(), found.labels.cpu().numpy()
            yield ImagePrediction(image_id, uri, *size, boxes, scores, labels)
