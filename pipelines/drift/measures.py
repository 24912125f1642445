"""What is measured of an image, each as one number, and in which words it is told."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt


class Measure(NamedTuple):
    """One number of an image.

    Attributes:
        name: its column.
        title: what people read.
        more, less: what new images are where theirs is higher, or lower.
        digits: decimals that are shown.
    """

    name: str
    title: str
    more: str
    less: str
    digits: int


EMBEDDING = "embedding"
MEASURES = (
    Measure("brightness", "grey level (mean, 0–255)", "brighter", "darker", 1),
    Measure("contrast", "contrast (deviation of grey levels)", "richer in contrast", "flatter", 1),
    Measure("sharpness", "sharpness (fine detail as a share of the contrast)", "sharper", "more blurred", 4),
    Measure("score", "map score", "more anomalous", "less anomalous", 3),
    Measure("boxes", "boxes of the detector in an image", "fuller of boxes", "emptier of boxes", 2),
    Measure("confidence", "the detector's best score in an image", "surer to the detector",
            "less sure to the detector", 3),
)  # fmt: skip
BY_NAME = {measure.name: measure for measure in MEASURES}


def looks(image: npt.NDArray[np.uint8]) -> dict[str, float]:
    """`brightness`, `contrast` and `sharpness` of an image.

    Brightness and contrast are mean and standard deviation of the luma (ITU-R 601), 0–255. Sharpness is the
    deviation of the luma's Laplacian over that of the luma itself: a darker or flatter picture is as sharp;
    0 of a plain one. It is of the image's own pixels, so a change of resolution moves it too.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    detail = float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1][0, 0])
    return {
        "brightness": mean,
        "contrast": deviation,
        "sharpness": detail / deviation if deviation > 0 else 0.0,
    }
