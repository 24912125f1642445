"""How an image becomes a network's input of one size, and where its pixels lie there."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.images import resized
from training.models.names import Resize

Image = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float64]
Area = tuple[int, int, int, int]  # x0 y0 x1 y1, whole pixels of an input

FILL = 114  # the grey that YOLO models are trained with around an image


@dataclass(frozen=True)
class Preprocessing:
    """What a detector expects: RGB in [0, 1], resized this way.

    Attributes:
        size: side of a square, or height and width, pixels.
        resize: `letterbox` keeps the aspect, `square` stretches over the whole input.
    """

    size: int | tuple[int, int]
    resize: Resize

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the input, pixels."""
        return self.size if isinstance(self.size, tuple) else (self.size, self.size)

    def place(self, width: int, height: int) -> "Placement":
        """Where an image of these pixels goes."""
        return Placement.of(width, height, self.shape, self.resize)


@dataclass(frozen=True)
class Placement:
    """An image inside an input: input = scale · pixel + offset, counted from pixel edges.

    Attributes:
        shape: height and width of the input, pixels.
        width, height: sides of the image laid into it, pixels of the input.
        scale: factors of x and y.
        offset: shifts of x and y, whole pixels.
    """

    shape: tuple[int, int]
    width: int
    height: int
    scale: tuple[float, float]
    offset: tuple[int, int]

    @classmethod
    def of(cls, width: int, height: int, shape: tuple[int, int], resize: Resize) -> "Placement":
        """`letterbox` keeps the aspect and centres the image; `square` stretches it over the whole."""
        high, wide = shape
        if resize == "square":
            return cls(shape, wide, high, (wide / width, high / height), (0, 0))
        scale = min(wide / width, high / height)
        new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
        return cls(
            shape,
            new_width,
            new_height,
            (new_width / width, new_height / height),
            ((wide - new_width) // 2, (high - new_height) // 2),
        )

    @property
    def area(self) -> Area:
        """The part of the input that shows the image; the rest is filled up."""
        x, y = self.offset
        return x, y, x + self.width, y + self.height

    def image(self, pixels: Image) -> Image:
        """The (H, W, 3) uint8 input."""
        canvas = np.full((*self.shape, 3), FILL, dtype=np.uint8)
        x, y = self.offset
        canvas[y : y + self.height, x : x + self.width] = resized(pixels, self.width, self.height)
        return canvas

    def boxes(self, boxes: Boxes) -> Boxes:
        """(N, 4) x0 y0 x1 y1 from pixels of the original to pixels of the input."""
        placed: Boxes = boxes * np.array(self.scale * 2) + np.array(self.offset * 2)
        return placed

    def original(self, boxes: Boxes) -> Boxes:
        """(N, 4) x0 y0 x1 y1 from pixels of the input to pixels of the original, not clipped."""
        original: Boxes = (boxes - np.array(self.offset * 2)) / np.array(self.scale * 2)
        return original
