from .components import joined_components
from .levels import dataset_colours, source_levels
from .limits import pixel_limit
from .reading import (
    IMAGE_SUFFIXES,
    MAX_FILE_BYTES,
    ImageError,
    Levels,
    content_hash,
    decode_any_depth,
    decode_image,
    read_bytes,
    read_image,
    read_mask,
)
from .resizing import resized
from .section import LevelsSection
from .sources import ImageSource, named_pixels, several
from .tiling import taper, tile_corners

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_FILE_BYTES",
    "ImageError",
    "ImageSource",
    "Levels",
    "LevelsSection",
    "content_hash",
    "dataset_colours",
    "decode_any_depth",
    "decode_image",
    "joined_components",
    "named_pixels",
    "pixel_limit",
    "read_bytes",
    "read_image",
    "read_mask",
    "resized",
    "several",
    "source_levels",
    "taper",
    "tile_corners",
]
