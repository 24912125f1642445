"""Images as another lens, lamp, mount or memory would give them, with the boxes moved along."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.models import Image

Floats = npt.NDArray[np.float64]
LEAST_LEFT = 0.5  # share of a box that must stay within the image


@dataclass(frozen=True)
class Changed:
    """A changed image with its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB, of the same size.
        boxes, regions: (N, 4), (M, 4) in its pixels.
        visible: (N,) boxes of which half or more is left.
    """

    image: Image
    boxes: Floats
    regions: Floats
    visible: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Variant:
    """One change.

    Attributes:
        name: for programs.
        title: for people.
        change: gives the pixels, from the pixels and the pixels of the image to one of the detector's input;
            None for a tilt.
        turn: gives the (3, 3) homography of a tilt, of pixels' edges, from width and height; None where
            nothing moves.
    """

    name: str
    title: str
    change: Callable[[Image, float], Image] | None = None
    turn: Callable[[int, int], Floats] | None = None

    def __call__(self, image: Image, boxes: Floats, regions: Floats, scale: float) -> Changed:
        """Change an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes, regions: (N, 4), (M, 4) x0 y0 x1 y1 in its pixels.
            scale: pixels of the image to one of the detector's input.
        """
        if self.turn is None:
            assert self.change is not None
            every = np.ones(len(boxes), np.bool_)
            return Changed(self.change(image, scale), boxes, regions, every)
        height, width = image.shape[:2]
        matrix = self.turn(width, height)
        # Boxes count from a pixel's edge, OpenCV from its middle.
        shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        middles = np.linalg.inv(shift) @ matrix @ shift
        tilted = cv2.warpPerspective(image, middles, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        moved, visible = moved_boxes(boxes, matrix, width, height)
        return Changed(np.asarray(tilted), moved, moved_boxes(regions, matrix, width, height)[0], visible)


def moved_boxes(
    boxes: Floats, matrix: Floats, width: int, height: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Boxes after a homography, cut to the image, and which of them keep half their area.

    Each is the box of the ellipse within it, moved: the box of the moved corners is too large for whatever
    does not fill them (Kalra et al., Towards Rotation Invariance in Object Detection, ICCV 2021).
    """
    if not len(boxes):
        return boxes.reshape(0, 4), np.zeros(0, np.bool_)
    angles = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = centres[:, None] + halves[:, None] * circle[None]
    flat = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2) @ matrix.T
    places = flat[..., :2] / flat[..., 2:]
    whole = np.concatenate([places.min(1), places.max(1)], axis=1)
    cut = whole.clip(0, [width, height, width, height])
    areas = [np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (cut, whole)]
    return cut, areas[0] >= LEAST_LEFT * np.maximum(areas[1], 1e-12)


def _blurred(pixels: float) -> Callable[[Image, float], Image]:
    return lambda image, scale: np.asarray(cv2.GaussianBlur(image, (0, 0), pixels * scale))


def _exposed(factor: float) -> Callable[[Image, float], Image]:
    return lambda image, scale: np.asarray(cv2.convertScaleAbs(image, alpha=factor))


def _compressed(quality: int) -> Callable[[Image, float], Image]:
    def change(image: Image, scale: float) -> Image:
        blue_first = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))

    return change


def _turned(degrees: float) -> Callable[[int, int], Floats]:
    def turn(width: int, height: int) -> Floats:
        about = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        return np.concatenate([about, [[0, 0, 1]]])

    return turn


def _tipped(part: float) -> Callable[[int, int], Floats]:
    """The upper edge further away: its ends come in by a part of the width, and down by as much."""

    def turn(width: int, height: int) -> Floats:
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        inwards = np.array([[part * width, part * height], [-part * width, part * height], [0, 0], [0, 0]])
        moved = corners + inwards.astype(np.float32)
        return np.asarray(cv2.getPerspectiveTransform(corners, moved), np.float64)

    return turn


VARIANTS = (
    Variant("blur_1", "blurred by 1 pixel of the detector's input (σ)", change=_blurred(1.0)),
    Variant("blur_2", "blurred by 2 pixels of the detector's input (σ)", change=_blurred(2.0)),
    Variant("darker", "exposure × 0.7", change=_exposed(0.7)),
    Variant("brighter", "exposure × 1.4, clipped", change=_exposed(1.4)),
    Variant("turned_left", "turned by 3° to the left", turn=_turned(3.0)),
    Variant("turned_right", "turned by 3° to the right", turn=_turned(-3.0)),
    Variant("tipped", "tipped: the upper edge 4 % further in on each side", turn=_tipped(0.04)),
    Variant("jpeg_50", "JPEG of quality 50", change=_compressed(50)),
    Variant("jpeg_20", "JPEG of quality 20", change=_compressed(20)),
)
