"""The images that exported files are calibrated and measured on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.errors import UserError
from cluster.stages import Artifact
from pipelines.tables import CorpusTables, ManifestRow
from training.detection import Sample, labelled_samples
from training.models import Area, Preprocessing

Array = npt.NDArray[np.float32]
SHOWN = 8  # pictures that files are compared and timed on
NOISE = (32, 24)  # sides of a generated picture


@dataclass(frozen=True)
class Picture:
    """An image as a network's input.

    Attributes:
        values: (1, 3, H, W) float32 RGB in [0, 1].
        area: the part of the input that shows the image.
        size: width and height of the original, pixels.
    """

    values: Array
    area: Area
    size: tuple[int, int]


@dataclass(frozen=True)
class TrialImages:
    """Images of a corpus, or of none.

    Attributes:
        training: images that files are calibrated on.
        held_out: images that are shown to PyTorch and to each file.
        labelled: images of the test part with labels, on which mAP is measured; none where no box is there.
        classes: the detector's, and those that the test part alone has.
    """

    training: Sequence[Sample] = ()
    held_out: Sequence[Sample] = ()
    labelled: Sequence[Sample] = ()
    classes: tuple[str, ...] = ()

    def shown(self, preprocessing: Preprocessing) -> list[Picture]:
        """The first held-out images as inputs; blurred noise where there are none."""
        if self.held_out:
            return [picture_of(sample, preprocessing) for sample in self.held_out[:SHOWN]]
        width, height = NOISE
        noise = np.random.default_rng(0).integers(0, 256, (SHOWN, height, width, 3), dtype=np.uint8)
        return [laid_out(pixels, preprocessing) for pixels in noise]


def trial_images(
    corpus: Artifact, classes: tuple[str, ...], *, calibration: int, measured: int | None
) -> TrialImages:
    """Choose images of a corpus, the same ones each time: in the order of their ids, which are digests.

    Args:
        corpus: a `corpus` or `labels` artifact.
        classes: the detector's.
        calibration: number of images to calibrate on, at most; none is of the test part.
        measured: number of labelled images of the test part, at most; None takes all.
    """
    tables = CorpusTables(corpus.directory)
    labels, ignored = tables.boxes(), tables.ignored()
    rows = sorted(tables.manifest(), key=lambda row: row["image_id"])
    test = [row for row in rows if row["split"] == "test"]
    # Unlabelled images serve where too few are labelled; what is calibrated is no label's matter.
    training = [row for split in ("train", "unlabelled") for row in rows if row["split"] == split]
    names = {box["label"] for row in test for box in labels.get(row["image_id"], ())}
    boxes = bool(names)
    names |= {region["label"] for row in test for region in ignored.get(row["image_id"], ())}
    every = (*classes, *sorted(names - set(classes)))
    return TrialImages(
        training=_unlabelled(training[:calibration]),
        held_out=_unlabelled(test[:SHOWN]),
        labelled=labelled_samples(test, labels, every, ignored)[:measured] if boxes else [],
        classes=every,
    )


def _unlabelled(rows: Sequence[ManifestRow]) -> list[Sample]:
    return [Sample.of(row, (), ()) for row in rows]


def calibration_pictures(images: TrialImages, preprocessing: Preprocessing) -> list[Array]:
    """Inputs that files of 8 bits are calibrated on, in memory.

    Raises:
        UserError: no image outside the test part, or one is gone.
    """
    if not images.training:
        raise UserError(
            "Files of 8 bits are calibrated on images of the training part; give some in corpus.root or "
            "finetune.data, or take export.formats=openvino-fp16, which needs none."
        )
    return [picture_of(sample, preprocessing).values for sample in images.training]


def picture_of(sample: Sample, preprocessing: Preprocessing) -> Picture:
    """An image of the corpus as an input.

    Raises:
        UserError: the file can't be read.
    """
    return laid_out(sample.pixels(), preprocessing)


def laid_out(pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> Picture:
    """An (H, W, 3) RGB image as an input."""
    height, width = pixels.shape[:2]
    placement = preprocessing.place(width, height)
    values = np.ascontiguousarray(placement.image(pixels).transpose(2, 0, 1)[None], np.float32)
    values /= 255
    return Picture(values, placement.area, (width, height))
