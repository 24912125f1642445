from .drawing import DrawnBox, draw_boxes
from .overlays import Corners, Picture, colours, heat_over, mask_over
from .pixels import PixelCache, lost_image, read_pixels

__all__ = [
    "Corners",
    "DrawnBox",
    "Picture",
    "PixelCache",
    "colours",
    "draw_boxes",
    "heat_over",
    "lost_image",
    "mask_over",
    "read_pixels",
]
