from .painter import Painted
from .section import PaintSection, PaintSettings
from .stage import paint_images

__all__ = ["PaintSection", "PaintSettings", "Painted", "paint_images"]
