"""Label Studio's run lengths of a brush: red, green, blue and opacity of all pixels, along the rows.

A header of 32 + 5 + 4×4 bits: how many values there are, the bits of a value less one, and four numbers of
bits less one. Then runs: a bit that is 1 for one value repeated and 0 for values one by one, two bits that
choose of how many bits the run's length is, the length less one, the value or values.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.annotations.base import AnnotationError, Mask
from pipelines.annotations.rle import MAX_TEXT

CHANNELS = 4


def mask_of_brush(data: object, width: int, height: int) -> Mask:
    """The pixels that are not fully transparent, (height, width).

    Args:
        data: the bytes as a list of numbers from 0 to 255.
        width, height: the image's size in pixels.

    Raises:
        AnnotationError: no such list, cut short, or not as many values as the image has.
    """
    if not isinstance(data, list) or not all(type(value) is int and 0 <= value < 256 for value in data):
        raise AnnotationError("its rle is no list of bytes")
    if len(data) > MAX_TEXT:
        raise AnnotationError(f"its rle has more than {MAX_TEXT:,} bytes")
    values = _values(data, width * height * CHANNELS)
    return values.reshape(height, width, CHANNELS)[..., 3] > 0


def _values(data: Sequence[int], wanted: int) -> npt.NDArray[np.uint8]:
    bits = _Bits(bytes(data))
    count, size = bits.next(32), bits.next(5) + 1
    lengths = [bits.next(4) + 1 for _ in range(4)]
    if count != wanted:
        raise AnnotationError(f"its rle has {count:,} values, the image needs {wanted:,}")
    if size != 8:
        raise AnnotationError(f"its rle has values of {size} bits instead of 8")
    values = np.zeros(count, dtype=np.uint8)
    place = 0
    while place < count:
        repeated = bits.next(1)
        end = place + bits.next(lengths[bits.next(2)]) + 1
        if end > count:
            raise AnnotationError("its rle runs beyond the image")
        if repeated:
            values[place:end] = bits.next(size)
        else:
            for one in range(place, end):
                values[one] = bits.next(size)
        place = end
    return values


class _Bits:
    """Bits of bytes, highest first."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def next(self, size: int) -> int:
        """The next bits, 32 at most, as a number."""
        start, end = self.place, self.place + size
        if end > 8 * len(self.data):
            raise AnnotationError("its rle is cut short")
        self.place = end
        last = (end + 7) // 8
        word = int.from_bytes(self.data[start // 8 : last], "big")
        return word >> (8 * last - end) & ((1 << size) - 1)
