"""Reads untrusted images: one decoder, one set of limits, one error."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from cluster.storage import locate
from pipelines.images.deep import Deep, Levels as Levels
from pipelines.images.limits import ImageError as ImageError
from pipelines.images.masks import Mask, defective_pixels
from pipelines.images.pages import only_page

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".dcm", ".dicom", ".dic"}
)
MAX_FILE_BYTES = 512 << 20


def read_bytes(uri: str, limit: int = MAX_FILE_BYTES, *, may_be_empty: bool = False) -> bytes:
    """The bytes of a file by local path or pyarrow URI.

    Args:
        uri: path or URI of the file.
        limit: most bytes it may have.
        may_be_empty: whether an empty file is allowed.

    Raises:
        ImageError: missing, unreadable, empty or too large.
    """
    try:
        if "://" not in uri:
            path = Path(uri)
            if not path.is_file():  # reading a named pipe or device would block for ever
                raise ImageError("not a regular file" if path.exists() else "file is missing")
            if path.stat().st_size > limit:
                raise ImageError(f"file is larger than {limit >> 20} MiB")
            data = path.read_bytes()
        else:
            filesystem, name = locate(uri)
            with filesystem.open_input_file(name) as file:  # of an object store two requests, size and bytes
                if file.size() > limit:
                    raise ImageError(f"file is larger than {limit >> 20} MiB")
                data = bytes(file.read())
    except FileNotFoundError:
        raise ImageError("file is missing") from None
    except (OSError, pa.ArrowException) as error:
        raise ImageError(f"file can't be read: {getattr(error, 'strerror', None) or error}") from None
    if not data and not may_be_empty:
        raise ImageError("file is empty")
    return data


def content_hash(data: bytes) -> str:
    """A file's image id: the first 32 hex digits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def decode_image(
    data: bytes, levels: Levels | None = None, *, least_side: int | None = None
) -> npt.NDArray[np.uint8]:
    """Decode an encoded image to RGB, uint8, (H, W, 3).

    Grey images are repeated over three channels; transparency is laid over black.

    Args:
        data: the file's bytes.
        levels: values that become 0 and 255 where the image has more than 8 bits (16-bit, float, signed, grey
            or colour), see `pipelines/images/levels.py`; without them a DICOM's own window, else each such
            image's own minimum and maximum. Images of 8 bits stay as they are.
        least_side: a JPEG may be decoded at a half, quarter or eighth of its size, which is faster, as long
            as no side gets shorter than this; None keeps its size.

    Raises:
        ImageError: not an image, damaged, too large or too small, animated or of several pages.
    """
    return decode_any_depth(data, levels, least_side=least_side)[0]


def decode_any_depth(
    data: bytes, levels: Levels | None = None, *, least_side: int | None = None
) -> tuple[npt.NDArray[np.uint8], bool]:
    """What `decode_image` gives, and whether the image has more than 8 bits."""
    image = only_page(data, least_side).content
    if isinstance(image, Deep):
        return image.scaled(levels), True
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        image = Image.alpha_composite(ground, layer)
    return np.array(image if image.mode == "RGB" else image.convert("RGB")), False  # convert always copies


def read_deep(uri: str) -> npt.NDArray[np.float64] | None:
    """The measured values, (N,), of an image of more than 8 bits; None for one of 8.

    Raises:
        ImageError: see `read_image`.
    """
    image = only_page(read_bytes(uri)).content
    return image.measured() if isinstance(image, Deep) else None


def read_image(uri: str, levels: Levels | None = None) -> npt.NDArray[np.uint8]:
    """Read an image by local path or URI as RGB, uint8, (H, W, 3).

    Raises:
        ImageError: see `read_bytes` and `decode_image`.
    """
    return decode_image(read_bytes(uri), levels)


def read_mask(uri: str, *, numbered: bool = False) -> Mask:
    """Read a defect mask as bool, (H, W), by the rule of `pipelines/images/masks.py`.

    Args:
        uri: path or URI of the file.
        numbered: whether the data set numbers its defects, so that every value but 0 is one.

    Raises:
        ImageError: see `read_image`; the mask has values, but none that can be called a defect.
    """
    return defective_pixels(read_bytes(uri), numbered=numbered)
