"""Heat and masks laid over a picture."""

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.images import resized

Picture = npt.NDArray[np.uint8]  # (height, width, 3), RGB


Corners = tuple[float, float, float, float]  # x0 y0 x1 y1, pixels of the picture


COLOUR_MAP = "inferno"  # perceptually uniform, readable in grey and by the colour-blind


MASK_COLOUR = (0, 190, 150)
OUTLINE_COLOUR = (235, 255, 250)  # the mask's colour, nearly white: visible on its tint and on dark surfaces
# Chosen by eye. The lowest heat still shows as the colour map's dark end, the highest lets a trace of the
# surface through, so that a defect is seen under it.
LOW_OPACITY, OPACITY_RISE = 0.45, 0.5
# The surroundings are as dim as the mask's inside, so that the tint alone tells them apart.
TINT = 0.55
DIMMED = 0.55


@cache
def colours() -> npt.NDArray[np.float32]:
    """The colour map: (256, 3), RGB, 0–255."""
    from matplotlib import colormaps

    return np.asarray(colormaps[COLOUR_MAP](np.linspace(0, 1, 256))[:, :3] * 255, dtype=np.float32)


def heat_over(image: Picture, values: npt.NDArray[np.floating[Any]], low: float, high: float) -> Picture:
    """Values of any size over the greyed image; `high` is the most opaque."""
    height, width = image.shape[:2]
    filled = np.nan_to_num(values.astype(np.float32), nan=low, posinf=high, neginf=low)
    heat = resized(filled, width, height, by_areas=True)
    level = np.clip((heat - low) / (high - low), 0, 1)
    paint = colours()[np.round(level * 255).astype(np.uint8)]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    opacity = (LOW_OPACITY + OPACITY_RISE * level)[..., None]
    return np.asarray(np.clip(grey * (1 - opacity) + paint * opacity, 0, 255), dtype=np.uint8)


def mask_over(image: Picture, truth: npt.NDArray[np.bool_]) -> Picture:
    """The mask, of any size, tinted and outlined on the dimmed image; a pixel with any defect in it shows."""
    height, width = image.shape[:2]
    inside = resized(truth.astype(np.float32), width, height, by_areas=True) > 0
    mask = inside.astype(np.uint8)
    canvas = image.astype(np.float32) * DIMMED
    canvas[inside] = image[inside] * (1 - TINT) + np.array(MASK_COLOUR, np.float32) * TINT
    picture = np.asarray(canvas, dtype=np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, OUTLINE_COLOUR, 1, cv2.LINE_AA)
    return picture
