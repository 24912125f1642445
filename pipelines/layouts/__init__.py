"""Dataset layouts, one file each: what a folder of images means, as it was published."""

from pipelines.layouts.base import LAYOUTS, Entry, find_layout
from pipelines.layouts.folder import folder as folder
from pipelines.layouts.magnetic_tile import magnetic_tile as magnetic_tile
from pipelines.layouts.masks import masks as masks

__all__ = ["LAYOUTS", "Entry", "find_layout"]
