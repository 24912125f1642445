"""How an image becomes a network's square input, and where its pixels lie there."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Resize = Literal["letterbox", "square"]
Image = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float64]

FILL = 114  # the grey that YOLO models are trained with around an image


@dataclass(frozen=True)
class Preprocessing:
    """What a detector expects: RGB in [0, 1] in a square of `size` pixels, resized this way."""

    size: int
    resize: Resize

    def place(self, width: int, height: int) -> "Placement":
        """Where an image of these pixels goes."""
        return Placement.of(width, height, self.size, self.resize)


@dataclass(frozen=True)
class Placement:
    """An image inside a square: input = scale · pixel + offset, counted from pixel edges.

    Attributes:
        size: side of the square, pixels.
        width, height: of the image laid into it, pixels of the square.
        scale: of x and y.
        offset: of x and y, whole pixels.
    """

    size: int
    width: int
    height: int
    scale: tuple[float, float]
    offset: tuple[int, int]

    @classmethod
    def of(cls, width: int, height: int, size: int, resize: Resize) -> "Placement":
        """`letterbox` keeps the aspect and centres the image; `square` stretches it over the whole."""
        if resize == "square":
            return cls(size, size, size, (size / width, size / height), (0, 0))
        scale = size / max(width, height)
        new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
        return cls(
            size,
            new_width,
            new_height,
            (new_width / width, new_height / height),
            ((size - new_width) // 2, (size - new_height) // 2),
        )

    def image(self, pixels: Image) -> Image:
        """The (size, size, 3) uint8 input."""
        shrinks = min(self.scale) < 1
        resized = cv2.resize(
            pixels, (self.width, self.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        canvas = np.full((self.size, self.size, 3), FILL, dtype=np.uint8)
        x, y = self.offset
        canvas[y : y + self.height, x : x + self.width] = resized
        return canvas

    def boxes(self, boxes: Boxes) -> Boxes:
        """(N, 4) x0 y0 x1 y1 from pixels of the original to pixels of the input."""
        placed: Boxes = boxes * np.array(self.scale * 2) + np.array(self.offset * 2)
        return placed

    def original(self, boxes: Boxes) -> Boxes:
        """(N, 4) x0 y0 x1 y1 from pixels of the input to pixels of the original, not clipped."""
        original: Boxes = (boxes - np.array(self.offset * 2)) / np.array(self.scale * 2)
        return original
