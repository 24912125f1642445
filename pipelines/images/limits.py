"""What an image may be, and the error that says why one is not: shared by all decoders."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MAX_PIXELS = 100_000_000  # 10,000 × 10,000: above any line-scan tile, far below a decompression bomb
MIN_SIDE = 8
# Decoders raise any of these for damaged files.
DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    ArithmeticError,
    LookupError,
    MemoryError,
    TypeError,
    AttributeError,
    struct.error,
    zlib.error,
)


class ImageError(Exception):
    """An image that can't be used; the message is the quarantine reason."""


_most_pixels: ContextVar[int] = ContextVar("most_pixels", default=MAX_PIXELS)


@contextmanager
def pixel_limit(most: int) -> Iterator[None]:
    """Within the block (of this context alone), an image may have at most so many pixels."""
    token = _most_pixels.set(min(most, MAX_PIXELS))
    try:
        yield
    finally:
        _most_pixels.reset(token)


def check_size(width: int, height: int) -> None:
    """Refuse a size before any pixel is decoded.

    Raises:
        ImageError: more than `MAX_PIXELS`, or the fewer of a `pixel_limit`; a side below `MIN_SIDE`.
    """
    most = _most_pixels.get()
    if width * height > most:
        raise ImageError(f"{width}×{height} pixels exceed the limit of {most:,} (decompression bomb?)")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{width}×{height} pixels are smaller than {MIN_SIDE} on a side")


def damaged(error: Exception) -> ImageError:
    """The error of a file that a decoder can't read."""
    if isinstance(error, KeyError):  # its text is a bare key
        return ImageError(f"damaged image: its field {error} is missing")
    return ImageError(f"damaged image: {str(error).splitlines()[0] if str(error) else repr(error)}")
