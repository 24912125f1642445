from .drawing import DrawnBox, draw_boxes
from .overlays import Corners, Picture, colours, heat_over, mask_over

__all__ = ["Corners", "DrawnBox", "Picture", "colours", "draw_boxes", "heat_over", "mask_over"]
