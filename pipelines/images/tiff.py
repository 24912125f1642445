"""TIFF's own fields: its pages, and the pixels of those that Pillow would cut to 8 bits or can't read.

TIFF 6.0 (Adobe, 1992), BigTIFF; field numbers are named below. White-is-zero pages of 1 to 8 unsigned bits
are turned into positives by Pillow; others by `read_deep_page`.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from pipelines.images.deep import Deep
from pipelines.images.limits import DAMAGE, ImageError, check_size, damaged

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BIG_MOTOROLA = STARTS[3]
MAX_PAGES = 1_000
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
REDUCED, TRANSPARENCY = 1, 4  # bits of NewSubfileType: a thumbnail or overview, a mask of the page
LOSSY = frozenset({6, 7, 34892, 50001})  # JPEG (old, new, DNG's), WebP
FAX = frozenset({2, 3, 4})
UNPACKED, SEPARATE = 1, 2  # of the fields Compression and PlanarConfiguration
ASSOCIATED, UNASSOCIATED = 1, 2  # kinds of opacity; colours are multiplied by an associated one


@dataclass(frozen=True)
class TiffPage:
    """One page (image file directory).

    Attributes:
        number: its place in the file, counted from 0.
        width, height: sides as stored, pixels.
        bits: bits of a sample; 0 where samples differ.
        samples: values of a pixel.
        kind: 1 unsigned, 2 signed, 3 float.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, …
        compression: the field's number.
        alpha: 1 or 2 where the last sample is an opacity that colours are, or are not, multiplied by; else 0.
        missing: the value that stands for no measurement (GDAL_NODATA); None without.
        planar: 1 the samples of a pixel lie together, 2 each in a plane of its own.
        motorola: whether its numbers begin with their highest byte.
    """

    number: int
    width: int
    height: int
    bits: int
    samples: int
    kind: int
    photometric: int
    compression: int
    alpha: int
    missing: float | None
    planar: int
    motorola: bool

    @property
    def is_deep(self) -> bool:
        """Whether it holds more than 8 bits a sample, or signed or float ones."""
        return self.bits > 8 or self.kind != UNSIGNED


def is_tiff(data: bytes) -> bool:
    """Whether a file begins as TIFF or BigTIFF does."""
    return data[:4] in STARTS


def full_pages(data: bytes) -> Iterator[TiffPage]:
    """The pages of a TIFF in their order, without thumbnails, overviews and transparency masks.

    Raises:
        ImageError: damaged, more than `MAX_PAGES` pages, or a BigTIFF of Motorola's order of bytes.
    """
    if data[:4] == BIG_MOTOROLA:  # Pillow takes it for a small one, and its fields for damaged ones
        raise ImageError("a BigTIFF whose numbers begin with their highest byte is not read: save it as II")
    stream = io.BytesIO(data)
    head = data[:16] if data[2:3] == b"+" else data[:8]
    seen: set[int] = set()
    try:
        place = int(TiffImagePlugin.ImageFileDirectory_v2(head).next)
        while place and place not in seen:
            if len(seen) == MAX_PAGES:
                raise ImageError(f"it has more than {MAX_PAGES:,} pages")
            stream.seek(place)
            fields = TiffImagePlugin.ImageFileDirectory_v2(head)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # odd fields are not the user's concern
                fields.load(stream)
            if not int(fields.get(254, 0)) & (REDUCED | TRANSPARENCY):
                yield _page(len(seen), fields, motorola=data[:2] == b"MM")
            seen.add(place)
            place = int(fields.next)
    except DAMAGE as error:
        raise damaged(error) from None


def _page(number: int, fields: Any, *, motorola: bool) -> TiffPage:
    def of(tag: int, default: Any) -> tuple[Any, ...]:
        value = fields.get(tag, default)
        return value if isinstance(value, tuple) else (value,)

    bits, kinds = set(of(258, 1)), set(of(339, UNSIGNED))
    extra = of(338, ())
    missing = None
    with suppress(ValueError):
        missing = float(str(fields.get(42113, "")).strip("\0 "))
    return TiffPage(
        number=number,
        width=int(fields[256]),
        height=int(fields[257]),
        bits=int(bits.pop()) if len(bits) == 1 else 0,
        samples=int(fields.get(277, 1)),
        kind=int(kinds.pop()) if len(kinds) == 1 else 0,
        photometric=int(fields.get(262, WHITE_IS_ZERO)),
        compression=int(fields.get(259, 1)),
        alpha=extra[-1] if extra and extra[-1] in {ASSOCIATED, UNASSOCIATED} else 0,
        missing=missing,
        planar=int(fields.get(284, 1)),
        motorola=motorola,
    )


def read_deep_page(data: bytes, page: TiffPage) -> Deep:
    """The values of a page of more than 8 bits, upright, white-is-zero turned into a positive.

    An unsigned white-is-zero value v of n bits becomes 2ⁿ − 1 − v, a signed one −1 − v, a float one 1 − v.

    Raises:
        ImageError: damaged, or of a kind that is not read; says which.
    """
    check_size(page.width, page.height)
    grey = page.samples == 1 and page.photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO}
    colour = page.photometric == RGB and page.samples in {3, 4}
    if not (grey or colour) or page.bits not in {8, 10, 12, 14, 16, 32, 64} or not 1 <= page.kind <= 3:
        raise unread(page)
    if colour and page.planar == SEPARATE:  # OpenCV would take the first plane for all of them
        raise unread(page)
    values = _by_pillow(data, page) if grey else None
    if values is None:
        values = _filled(data, page)
    alpha = None
    if values.ndim == 3:
        if page.alpha and values.shape[2] == 4:
            alpha = opacity(values[..., 3])
        values = values[..., 2::-1]
        if alpha is not None and page.alpha == ASSOCIATED:
            values = values / np.where(alpha > 0, alpha, 1.0)[..., None]
    if page.missing is not None and (values == page.missing).any():
        values = np.where(values == page.missing, np.nan, values.astype(np.float64))
    return Deep(_positive(values, page) if page.photometric == WHITE_IS_ZERO else values, alpha)


def opacity(samples: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Samples of an opacity as float64, 0 clear to 1 opaque: full is the integers' greatest value, or 1.0."""
    top = float(np.iinfo(samples.dtype).max) if samples.dtype.kind in "ui" else 1.0
    return np.nan_to_num(samples.astype(np.float64)).clip(0, top) / top


def _by_pillow(data: bytes, page: TiffPage) -> npt.NDArray[Any] | None:
    """Grey values where Pillow keeps all bits (or wraps them, which is undone here); None elsewhere."""
    try:
        image = Image.open(io.BytesIO(data), formats=("TIFF",))
        image.seek(page.number)
        if not image.mode.startswith("I") and image.mode != "F":
            return None  # Pillow takes signed bytes for unsigned ones
        if page.motorola and page.compression != UNPACKED and image.mode in {"I", "F"}:
            return None  # libtiff has turned the bytes already, and Pillow turns them again
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except UnidentifiedImageError:
        return None
    except DAMAGE as error:
        raise damaged(error) from None
    values = np.asarray(image)
    if page.bits == 32 and page.kind == UNSIGNED and values.dtype == np.int32:
        return values.view(np.uint32)
    return values


def by_opencv(data: bytes, number: int = 0) -> npt.NDArray[Any] | None:
    """All bits of one page, in OpenCV's order of channels; None where OpenCV can't read it."""
    import cv2

    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        _, pages = cv2.imdecodemulti(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED, range=(number, number + 1)
        )
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    return pages[0] if pages else None


def _filled(data: bytes, page: TiffPage) -> npt.NDArray[Any]:
    """A page that OpenCV reads, upright, packed samples as they were written."""
    values = by_opencv(data, page.number)
    sides = {(page.height, page.width), (page.width, page.height)}
    if values is None or values.shape[:2] not in sides or (values.ndim == 3) != (page.samples > 1):
        raise unread(page)
    if values.dtype.itemsize * 8 < page.bits:
        raise unread(page)
    if page.bits in {10, 12, 14}:  # OpenCV fills up packed samples to 16 bits
        return values >> (16 - page.bits)
    if page.bits == 8 and page.photometric == WHITE_IS_ZERO:
        return ~values  # OpenCV has made a positive of them, as it does of bytes alone
    return values


def _positive(values: npt.NDArray[Any], page: TiffPage) -> npt.NDArray[Any]:
    if page.kind == FLOAT:
        return 1 - values.astype(np.float64)
    if page.kind == SIGNED:
        return -1 - values
    highest = (1 << page.bits) - 1
    return highest - values if values.dtype == np.float64 else np.asarray(highest, values.dtype) - values


def unread(page: TiffPage) -> ImageError:
    """The error of a page whose kind is not read; says the kind and a remedy."""
    kind = {UNSIGNED: "unsigned", SIGNED: "signed", FLOAT: "float"}.get(page.kind, "mixed")
    planes = ", in separate planes" if page.planar == SEPARATE else ""
    return ImageError(
        f"a TIFF of {page.samples} {kind} samples of {page.bits or 'different'} bits, photometric "
        f"{page.photometric}, compression {page.compression}{planes}, is not read: save it as grey or RGB of "
        "8 or 16 bits without compression, the samples of a pixel together"
    )
