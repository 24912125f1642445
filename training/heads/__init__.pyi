from .section import HeadsSection
from .stage import train_head

__all__ = ["HeadsSection", "train_head"]
