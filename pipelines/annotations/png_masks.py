"""Masks as PNG within a text: base64, perhaps zlib over it."""

import base64
import binascii
import io
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipelines.annotations.base import AnnotationError, Mask

MAX_PNG = 8 << 20  # bytes of one mask


def png_mask(text: object, width: int, height: int) -> Mask:
    """The drawn pixels of a mask: any value but 0 of a grey or palette image, with alpha all but transparent.

    Args:
        text: base64 of a PNG, or of a PNG packed by zlib.
        width, height: the most pixels that it may have on a side.

    Returns:
        (rows, columns) bool, of the PNG's own size.

    Raises:
        AnnotationError: not such a text, another kind of picture, larger than allowed.
    """
    if not isinstance(text, str):
        raise AnnotationError("its mask is no text")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AnnotationError("its mask is no base64") from None
    if not data.startswith(b"\x89PNG"):
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(data, MAX_PNG)
        except zlib.error as error:
            raise AnnotationError(f"its mask is neither a PNG nor one packed by zlib ({error})") from None
    if len(data) >= MAX_PNG:
        raise AnnotationError(f"its mask has more than {MAX_PNG >> 20} MiB")
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.width > width or image.height > height:
                raise AnnotationError(
                    f"its mask has {image.width}×{image.height} pixels, the image {width}×{height}"
                )
            image.load()
            if image.mode in {"RGBA", "LA"}:
                drawn = image.getchannel("A")
            elif image.mode in {"1", "L", "P"}:
                drawn = image
            else:
                raise AnnotationError(f"its mask is a picture of the mode {image.mode}, not of one channel")
            return np.asarray(drawn) > 0
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, zlib.error) as error:
        raise AnnotationError(f"its mask is a damaged PNG ({str(error)[:80]})") from None
