"""Boxes drawn on images for people to look at, with OpenCV's built-in letters."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from training.models import Image

TRUTH = (40, 180, 60)  # RGB
PREDICTION = (235, 80, 40)
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SCALE = 0.45  # capitals are 9 pixels high, the smallest that read well


@dataclass(frozen=True)
class DrawnBox:
    """A box to draw: x0 y0 x1 y1 in pixels of the original, and its caption."""

    corners: tuple[float, float, float, float]
    text: str


def draw_boxes(
    image: Image, truths: Sequence[DrawnBox], predictions: Sequence[DrawnBox], *, side: int = 480
) -> Image:
    """A copy with true boxes in green and predicted ones in orange over them.

    Args:
        image: (H, W, 3) uint8 RGB.
        truths, predictions: boxes in drawing order.
        side: the longer side of the result, pixels; lines and letters keep their size.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    drawn: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    for box in truths:
        _draw(drawn, box, scale, TRUTH, below=True)
    for box in predictions:
        _draw(drawn, box, scale, PREDICTION, below=False)
    return drawn


def _draw(drawn: Image, box: DrawnBox, scale: float, colour: tuple[int, int, int], *, below: bool) -> None:
    height, width = drawn.shape[:2]
    x0, y0, x1, y1 = (round(value * scale) for value in box.corners)
    cv2.rectangle(drawn, (x0, y0), (x1, y1), colour, 2)
    # The built-in letters are ASCII only; anything else would be drawn as question marks of odd width.
    text = box.text.encode("ascii", "replace").decode()
    (text_width, text_height), drop = cv2.getTextSize(text, FONT, FONT_SCALE, 1)
    left = min(max(x0, 0), max(0, width - text_width))
    base = y1 + text_height + 4 if below else y0 - 5
    base = min(max(base, text_height + 1), height - drop)
    cv2.rectangle(drawn, (left, base - text_height - 1), (left + text_width, base + drop), colour, cv2.FILLED)
    cv2.putText(drawn, text, (left, base), FONT, FONT_SCALE, (255, 255, 255), 1, cv2.LINE_AA)
