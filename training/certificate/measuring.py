"""The detector on the test part, as it is and changed: what it finds, what it calls falsely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cluster.progress import progress
from training.certificate.figures import Floats, Judged, differences, judge
from training.certificate.variants import VARIANTS
from training.detection import Sample
from training.metrics import Detections
from training.models import Image
from training.models.detectors import Detector
from training.pictures import lost_image
from training.prediction import PredictSection, UnreadableImage
from training.prediction.predict import predict

AT_ONCE = 16  # images in memory


@dataclass(frozen=True)
class Looking:
    """How the detector looks at images.

    Attributes:
        detector: the detector, which says how images are cut.
        device: where it runs.
        predict: which of its boxes count.
        iou: least overlap of a box with a defect that it finds.
    """

    detector: Detector
    device: torch.device
    predict: PredictSection
    iou: float

    def detections(self, images: Mapping[str, Image]) -> dict[str, Detections]:
        """Boxes of images by id."""
        found = {}
        section = self.predict
        for one in predict(
            self.detector,
            images,
            device=self.device,
            batch_size=section.batch_size,
            min_score=section.min_score,
        ):
            if isinstance(one, UnreadableImage):  # they were read already
                raise lost_image(one.uri, one.reason)
            found[one.image_id] = Detections(one.boxes, one.scores, one.labels)
        return found

    def scale(self, sample: Sample) -> float:
        """Pixels of an image to one of the detector's input; 1 where it is cut into tiles."""
        if self.detector.cut.tiles != "off":
            return 1.0
        height, width = self.detector.preprocessing.shape
        return max(sample.width / width, sample.height / height)


def judged_images(looking: Looking, samples: Sequence[Sample]) -> list[Judged]:
    """Every image as it is, in order.

    Raises:
        UserError: an image can't be read any more.
    """
    judged: list[Judged] = []
    with progress("certify: finding defects", len(samples)) as bar:
        for start in range(0, len(samples), AT_ONCE):
            some = samples[start : start + AT_ONCE]
            found = looking.detections({one.image_id: one.pixels() for one in some})
            judged += [judge(found[one.image_id], one.boxes, one.ignored, looking.iou) for one in some]
            bar.advance(len(some))
    return judged


def robustness(
    looking: Looking, samples: Sequence[Sample], plain: Sequence[Judged], seed: int
) -> list[dict[str, Any]]:
    """Every change against the images as they are: rows with `name`, `title` and those of `differences`.

    Args:
        looking: the detector.
        samples, plain: the images, and what is found in them unchanged.
        seed: seed of the intervals.

    Raises:
        UserError: an image can't be read any more.
    """
    changed: dict[str, list[Judged]] = {variant.name: [] for variant in VARIANTS}
    with progress("certify: blurred, exposed, tilted, compressed", len(samples)) as bar:
        for sample in samples:
            pixels, scale = sample.pixels(), looking.scale(sample)
            made = {one.name: one(pixels, sample.boxes, sample.ignored, scale) for one in VARIANTS}
            found = looking.detections({name: one.image for name, one in made.items()})
            for name, one in made.items():
                judged = judge(found[name], one.boxes, one.regions, looking.iou, one.visible)
                changed[name].append(judged)
            bar.advance()
    return [
        {"name": one.name, "title": one.title, **differences(plain, changed[one.name], seed)}
        for one in VARIANTS
    ]


def sizes_and_hits(
    sizes: Sequence[Floats], judged: Sequence[Judged]
) -> tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]], np.ndarray[Any, np.dtype[np.int64]]]:
    """All defects in one: sizes, which were found, number of the image of each.

    Args:
        sizes: of each image's defects.
        judged: one an image.
    """
    images = np.repeat(np.arange(len(judged)), [len(one) for one in sizes])
    return (
        np.concatenate([*sizes, np.zeros(0)]),
        np.concatenate([*(one.found for one in judged), np.zeros(0, np.bool_)]),
        images,
    )
