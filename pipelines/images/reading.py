"""Reads untrusted images: one decoder, one set of limits, one error."""

import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as pafs
from PIL import Image, ImageOps, UnidentifiedImageError

from cluster.storage import locate

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
MAX_PIXELS = 100_000_000  # 10,000 × 10,000: above any line-scan tile, far below a decompression bomb
MAX_FILE_BYTES = 512 << 20
MIN_SIDE = 8
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")

Levels = tuple[float, float]  # black and white

Image.init()  # a lazily loaded decoder would make a format unknown to `formats`
Image.MAX_IMAGE_PIXELS = None  # ours is checked below, before any pixel is decoded


class ImageError(Exception):
    """An image that can't be used; the message is the quarantine reason."""


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
            info = filesystem.get_file_info(name)
            if info.type == pafs.FileType.NotFound:
                raise ImageError("file is missing")
            if (info.size or 0) > limit:
                raise ImageError(f"file is larger than {limit >> 20} MiB")
            with filesystem.open_input_stream(name) as stream:
                data = bytes(stream.read())
    except (OSError, pa.ArrowException) as error:
        raise ImageError(f"file can't be read: {getattr(error, 'strerror', None) or error}") from None
    if not data and not may_be_empty:
        raise ImageError("file is empty")
    return data


def _open(data: bytes, least_side: int | None = None) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF is not the user's concern
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(
                    f"{width}×{height} pixels exceed the limit of {MAX_PIXELS:,} (decompression bomb?)"
                )
            if min(width, height) < MIN_SIDE:
                raise ImageError(f"{width}×{height} pixels are smaller than {MIN_SIDE} on a side")
            if least_side is not None:
                image.draft(None, (least_side, least_side))  # JPEG alone can; others are read as they are
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # else it copies images that are upright already
            return image
    except UnidentifiedImageError:
        raise ImageError("not an image in a supported format") from None
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, MemoryError) as error:
        # Pillow's decoders raise any of these for damaged files.
        raise ImageError(f"damaged image: {str(error).splitlines()[0] if str(error) else error!r}") from None


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
        levels: grey values that become 0 and 255 where the image has more than 8 bits (16-bit, float), see
            `pipelines/images/levels.py`; without them each such image's own minimum and maximum. Images of 8
            bits stay as they are.
        least_side: a JPEG may be decoded at a half, quarter or eighth of its size, which is faster, as long
            as no side gets shorter than this; None keeps its size.

    Raises:
        ImageError: not an image, damaged, too large or too small.
    """
    image = _open(data, least_side)
    deep = _deep(image)
    if deep is not None:
        black, white = levels if levels is not None else (float(deep.min()), float(deep.max()))
        span = white - black
        scaled = (deep - black) * (255.0 / span) if span > 0 else np.zeros_like(deep)
        return np.repeat(scaled.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        image = Image.alpha_composite(ground, layer)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))  # convert always copies


def _deep(image: Image.Image) -> npt.NDArray[np.float64] | None:
    """Grey values of an image of more than 8 bits, (H, W), finite; None for one of 8."""
    if not image.mode.startswith("I") and image.mode != "F":
        return None
    return np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)


def read_deep(uri: str) -> npt.NDArray[np.float64] | None:
    """Grey values, (H, W), of an image of more than 8 bits as they are stored; None for one of 8.

    Raises:
        ImageError: see `read_image`.
    """
    return _deep(_open(read_bytes(uri)))


def read_image(uri: str, levels: Levels | None = None) -> npt.NDArray[np.uint8]:
    """Read an image by local path or URI as RGB, uint8, (H, W, 3).

    Raises:
        ImageError: see `read_bytes` and `decode_image`.
    """
    return decode_image(read_bytes(uri), levels)


def read_mask(uri: str, above: int = 127) -> npt.NDArray[np.bool_]:
    """Read a defect mask as bool, (H, W): a pixel is defective above the given grey.

    Args:
        uri: path or URI of the file.
        above: grey limit: 127 for drawn masks with soft edges; 0 for masks that number their defects, where a
            palette's indices count and not its colours.

    Raises:
        ImageError: see `read_image`.
    """
    image = _open(read_bytes(uri))
    raw = above == 0 and (image.mode in {"1", "L", "P"} or image.mode.startswith("I"))
    return np.asarray(image if raw else image.convert("L")) > above
