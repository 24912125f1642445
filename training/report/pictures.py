"""Pictures of the report's gallery as small data URIs: map overlay, mask, pseudo-boxes."""

from collections.abc import Sequence

import cv2
import numpy as np

from cluster.html_page import jpeg_uri
from training.pictures import Corners, Picture, colours, heat_over, mask_over
from training.report.data import GalleryItem

SIDE = 360  # pixels of the longer side: sharp at 180 CSS pixels on a dense screen
BOX_COLOUR = (255, 176, 0)  # amber, visible on dark and light surfaces
EDGE_COLOUR = (20, 20, 20)  # around the boxes, for surfaces as bright as amber
BOX_PIXELS, EDGE_PIXELS = 2, 4  # widths of lines; the edge is left a pixel wide on either side
QUALITIES = (84, 70, 55, 40, 25)  # of JPEG, tried in turn from no visible loss to the coarsest
SHRINK = 3, 4  # then the sides shrink by this factor, and all qualities are tried again


def fitting_uri(picture: Picture, most_bytes: int) -> str:
    """A JPEG data URI in the best quality, then the largest size, that fits.

    Args:
        picture: (height, width, 3) uint8 RGB.
        most_bytes: largest size of the JPEG before base64; at least 1000.
    """
    while True:
        blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        for quality in QUALITIES:
            _, encoded = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if encoded.size <= most_bytes:
                return jpeg_uri(encoded.tobytes())
        picture, _ = fit(picture, max(picture.shape) * SHRINK[0] // SHRINK[1])


def fit(picture: Picture, side: int = SIDE) -> tuple[Picture, float]:
    """The picture with its longer side at most `side`, and the factor it was scaled by."""
    height, width = picture.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale == 1.0:
        return picture, scale
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale


def colour_stops(count: int = 9) -> list[str]:
    """The colour map as CSS colours, evenly spaced."""
    table = colours()
    picked = np.round(table[np.linspace(0, 255, count).round().astype(int)]).astype(int)
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in picked]


def map_range(items: Sequence[GalleryItem]) -> tuple[float, float]:
    """The common colour scale of a category's maps; a threshold in between them is on it."""
    finite = [item.anomaly_map[np.isfinite(item.anomaly_map)] for item in items]
    ends = [(float(part.min()), float(part.max())) for part in finite if part.size]
    low = min((low for low, _ in ends), default=0.0)
    high = max((high for _, high in ends), default=1.0)
    return low, max(high, low + 1e-6)


def overlay(item: GalleryItem, low: float, high: float) -> Picture:
    """The anomaly map over the greyed image; the higher, the more opaque."""
    image, _ = fit(item.image)
    return heat_over(image, item.anomaly_map, low, high)


def masked(item: GalleryItem) -> Picture | None:
    """The true defect tinted and outlined on the dimmed image; None without a mask."""
    if item.mask is None:
        return None
    image, _ = fit(item.image)
    return mask_over(image, item.mask)


def boxed(image: Picture, boxes: Sequence[tuple[Corners, float]]) -> Picture:
    """The image with its pseudo-boxes, dark-edged to stand out on any surface."""
    fitted, scale = fit(image)
    picture = np.ascontiguousarray(fitted).copy()
    for corners, _ in boxes:
        x0, y0, x1, y1 = (round(value * scale) for value in corners)
        for colour, thickness in ((EDGE_COLOUR, EDGE_PIXELS), (BOX_COLOUR, BOX_PIXELS)):
            cv2.rectangle(picture, (x0, y0), (x1, y1), colour, thickness, cv2.LINE_AA)
    return picture
