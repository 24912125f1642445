"""A detector on a few images, in the caller's own process."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch

from pipelines.device import best_device
from pipelines.images import ImageSource, named_pixels, several
from training.models import Flips, LookPrecision
from training.models.detectors import Detector
from training.prediction.predict import ImagePrediction, UnreadableImage, predict
from training.prediction.readiness import look_as
from training.prediction.section import PredictSection


def detect(
    detector: Detector,
    images: Iterable[ImageSource],
    *,
    min_score: float | None = None,
    flips: Flips = (),
    tiles: int | Literal["learnt", "off", "auto"] = "learnt",
    precision: LookPrecision = "fp32",
    device: str | None = None,
) -> list[ImagePrediction | UnreadableImage]:
    """Boxes of a few images in this process, without Ray or a workspace, in the images' order.

    Files of more than 8 bits are scaled as those that the detector learnt from (`Detector.levels`).

    Args:
        detector: from `load_detector`; `detector.classes` names the labels.
        images: paths, URIs, or (H, W, 3) uint8 RGB pixels, called `image 0`, `image 1`, …
        min_score: boxes below are dropped; None takes the default of `predict.min_score`.
        flips: mirror images that are looked at too, `lr` and `ud`, see `predict.flips`.
        tiles: whether images are cut, see `predict.tiles`; as the detector learnt by default.
        precision: see `predict.precision`.
        device: torch's; None takes a GPU where there is one.

    Raises:
        UserError: one image in the place of a list.
        ValueError: pixels of another shape or type; other flips, tiles or precision.
    """
    place = torch.device(best_device(device))
    section = PredictSection(flips=flips, tiles=tiles, precision=precision)
    least = section.min_score if min_score is None else min_score
    named = {str(number): image for number, image in enumerate(several(images, "images"))}
    for number, image in named.items():
        if not isinstance(image, str | Path):
            named_pixels(image, f"image {number}")  # refused before any is looked at
    levels = {} if detector.levels is None else dict.fromkeys(named, detector.levels)
    found = predict(look_as(section, detector), named, device=place, min_score=least, levels=levels)
    predictions = {one.image_id: one for one in found}
    return [predictions[image_id] for image_id in named]
