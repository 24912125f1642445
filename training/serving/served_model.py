"""One registered version in this process: loaded, tried on a sample, and asked for boxes."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from cluster.errors import UserError
from cluster.registry import ModelVersion, weights_file
from cluster.registry.pull import pull
from cluster.tracking import Tracker
from pipelines.images import Levels, decode_image, pixel_limit
from training.metrics import Detections
from training.models import Image, LookPrecision
from training.models.detectors import Detector
from training.pictures import DrawnBox, draw_boxes
from training.prediction import ImagePrediction, detect_batch, detect_tiled, ready, tiles_of
from training.serving.messages import Answer, Asked, Identity
from training.starts import load_detector

DRAWN_SIDE = 1920  # pixels; larger images are drawn smaller
TILES_AT_ONCE = 16  # of one image


@dataclass(frozen=True)
class LaidOut:
    """An image on its way into a detector.

    Attributes:
        asked: what was asked.
        image: (H, W, 3) uint8 RGB, kept only to be drawn on or cut into tiles; empty otherwise.
        pixels: (S, S, 3) uint8, laid out by the detector's preprocessing; None where its tiles will be.
        size: the image's width and height, pixels.
    """

    asked: Asked
    image: Image
    pixels: Image | None
    size: tuple[int, int]


def identity_of(version: ModelVersion) -> Identity:
    """What tells a version's weights from all others."""
    digests = sorted(digest for name, digest in version.files.items() if name.endswith(".safetensors"))
    return version.version, "".join(digests)


class ServedModel:
    """A registered detector on its device.

    Args:
        version: its entry in the registry.
        detector: the detector, in eval mode.
        device: where it runs.
    """

    def __init__(self, version: ModelVersion, detector: Detector, device: torch.device) -> None:
        self.version, self.identity, self.device = version, identity_of(version), device
        self.detector = ready(detector, device)

    @classmethod
    def load(
        cls,
        tracker: Tracker,
        version: ModelVersion,
        device: torch.device,
        precision: LookPrecision = "fp32",
    ) -> "ServedModel":
        """Fetch a version, build it and let it look at a sample image, in the precision.

        Raises:
            UserError: files that can't be fetched, are damaged or are no detector's, or a network whose
                answers are no numbers.
        """
        with tempfile.TemporaryDirectory() as folder:
            try:
                detector = load_detector(weights_file(pull(tracker, version, Path(folder)), version))
            except UserError as error:  # without the folder's name, which tells nobody anything
                raise UserError(str(error).replace(f"{folder}/", "")) from None
        detector.precision = precision
        model = cls(version, detector, device)
        model.try_out()
        return model

    def try_out(self) -> None:
        """Look at a made image, in a batch of one and of two.

        Raises:
            UserError: see `Detector.predict`; boxes that are no numbers.
        """
        image = np.random.default_rng(0).integers(0, 256, (61, 97, 3), np.uint8)
        sample = self._placed(Asked("sample"), image)
        for count in (1, 2):
            for answer in self.detect([sample] * count):
                numbers = [box[key] for box in answer.boxes for key in ("x0", "y0", "x1", "y1", "score")]
                if not np.isfinite(numbers).all():
                    raise UserError(f"{self.version.reference} answers a sample image by no numbers.")

    def lay_out(self, asked: Asked, data: bytes, max_pixels: int) -> LaidOut:
        """Decode an image and lay it out.

        Args:
            asked: what was asked.
            data: the encoded image.
            max_pixels: most pixels it may have.

        Raises:
            ImageError: see `decode_image`.
        """
        levels: Levels | None = self.detector.levels
        with pixel_limit(max_pixels):
            return self._placed(asked, decode_image(data, levels))

    def _placed(self, asked: Asked, image: Image) -> LaidOut:
        height, width = image.shape[:2]
        placing = self.detector.preprocessing
        if len(tiles_of(width, height, self.detector.cut, placing)) > 1:
            return LaidOut(asked, image, None, (width, height))
        pixels = placing.place(width, height).image(image)
        return LaidOut(asked, image if asked.drawn else image[:0], pixels, (width, height))

    def detect(self, batch: Sequence[LaidOut]) -> list[Answer]:
        """The boxes of each image.

        Raises:
            UserError: see `Detector.predict`.
        """
        answers = []
        for one, detections in zip(batch, self._detections(batch), strict=True):
            boxes, scores, labels = detections.boxes, detections.scores, detections.labels
            prediction = ImagePrediction("", "", *one.size, boxes, scores, labels)
            rows = prediction.row(self.detector.classes)["boxes"]
            kept = [row for row in rows if row["score"] > one.asked.min_score]
            name, number = self.version.name, self.version.version
            picture = _drawn(one.image, kept) if one.asked.drawn else b""
            answers.append(Answer(name, number, *one.size, kept, picture))
        return answers

    def _detections(self, batch: Sequence[LaidOut]) -> list[Detections]:
        """What is found in each image; those in tiles one after the other, all others at once."""
        least = min(one.asked.min_score for one in batch)
        pixels = [one.pixels for one in batch if one.pixels is not None]
        sizes = [one.size for one in batch if one.pixels is not None]
        found: Iterator[Detections] = iter(())
        if pixels:
            found = iter(
                detect_batch(self.detector, np.stack(pixels), sizes, device=self.device, min_score=least)
            )
        return [
            next(found)
            if one.pixels is not None
            else detect_tiled(
                self.detector, one.image, device=self.device, batch_size=TILES_AT_ONCE, min_score=least
            )
            for one in batch
        ]


def _drawn(image: Image, boxes: Sequence[dict[str, float]]) -> bytes:
    side = min(max(image.shape[:2]), DRAWN_SIDE)
    drawn = [
        DrawnBox((box["x0"], box["y0"], box["x1"], box["y1"]), f"{box['label']} {box['score']:.2f}")
        for box in boxes
    ]
    picture = draw_boxes(image, [], drawn, side=side)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()
