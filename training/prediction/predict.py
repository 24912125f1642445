"""A trained detector on image files: boxes in the pixels of the original."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipelines.images import ImageError, ImageSource, Levels, read_image
from pipelines.tables import SIDES
from training.models.detectors import MIN_SCORE, Detector
from training.prediction.batch import detect_batch
from training.prediction.tiled import detect_tiled


@dataclass(frozen=True)
class ImagePrediction:
    """The detections in one image, best first.

    Attributes:
        image_id, uri: the image's id and address, as given.
        width, height: the original's sides, pixels.
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
        """A row of the predictions table, labels by name."""
        detections = zip(self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True)
        return {
            "image_id": self.image_id,
            "uri": self.uri,
            "width": self.width,
            "height": self.height,
            "boxes": [
                {**dict(zip(SIDES, box, strict=True)), "score": score, "label": classes[label]}
                for box, score, label in detections
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
    images: Mapping[str, ImageSource],
    *,
    device: torch.device,
    batch_size: int = 16,
    min_score: float = MIN_SCORE,
    levels: Mapping[str, Levels] | None = None,
) -> Iterator[ImagePrediction | UnreadableImage]:
    """Run a detector over images, batch by batch; one result per image, a batch's unreadable images first.

    Images in tiles are in memory one at a time.

    Args:
        detector: the detector, which says how images are cut (`look_as`); it is moved to `device`.
        images: image_id → path or URI, or (H, W, 3) uint8 RGB pixels, called `image ID`.
        device: device to run on.
        batch_size: images, or tiles of an image, at once.
        min_score: least score of a box.
        levels: black and white by image_id, of the images of more than 8 bits that don't take their own.
    """
    known = levels or {}
    detector = detector.to(device).eval()
    waiting = iter(images.items())
    while chunk := list(islice(waiting, batch_size)):
        inputs: list[npt.NDArray[np.uint8]] = []
        read: list[tuple[str, str, tuple[int, int]]] = []
        for image_id, image in chunk:
            uri = f"image {image_id}" if isinstance(image, np.ndarray) else str(image)
            try:
                pixels = image if isinstance(image, np.ndarray) else read_image(uri, known.get(image_id))
            except ImageError as error:
                yield UnreadableImage(image_id, uri, str(error))
                continue
            height, width = pixels.shape[:2]
            if detector.cut.tiles != "off":
                one = detect_tiled(
                    detector, pixels, device=device, batch_size=batch_size, min_score=min_score
                )
                yield ImagePrediction(image_id, uri, width, height, one.boxes, one.scores, one.labels)
                continue
            inputs.append(detector.preprocessing.place(width, height).image(pixels))
            read.append((image_id, uri, (width, height)))
        if not read:
            continue
        results = detect_batch(
            detector, np.stack(inputs), [size for *_, size in read], device=device, min_score=min_score
        )
        for (image_id, uri, size), detections in zip(read, results, strict=True):
            yield ImagePrediction(
                image_id, uri, *size, detections.boxes, detections.scores, detections.labels
            )
