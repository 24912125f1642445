"""The pages of an encoded image, decoded with all their bits by whichever library keeps them."""

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.images.deep import Deep
from pipelines.images.dicom import is_dicom, read_dicom
from pipelines.images.limits import DAMAGE, ImageError, check_size, damaged
from pipelines.images.tiff import (
    LOSSY,
    TiffPage,
    by_opencv,
    full_pages,
    is_tiff,
    opacity,
    read_deep_page,
    unread,
)

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
PNG = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112
# How a picture of each EXIF orientation is put upright, as `ImageOps.exif_transpose` does.
_TURNS: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    2: np.fliplr,
    3: partial(np.rot90, k=2),
    4: np.flipud,
    5: partial(np.transpose, axes=(1, 0, 2)),
    6: partial(np.rot90, k=-1),
    7: lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2),
    8: partial(np.rot90, k=1),
}

Image.init()  # a lazily loaded decoder would make a format unknown to `formats`
Image.MAX_IMAGE_PIXELS = None  # ours is checked below, before any pixel is decoded


@dataclass(frozen=True)
class Page:
    """One page of a file, decoded: by Pillow as it is stored, or with all its bits.

    Attributes:
        content: the image, upright.
        lossy: whether it was packed with losses (JPEG, lossy WebP), so that its values waver.
        tiff: its fields where it is a page of a TIFF.
        bits: bits a sample in the file where they are known (PNG, TIFF), else 8.
    """

    content: Image.Image | Deep
    lossy: bool = False
    tiff: TiffPage | None = None
    bits: int = 8


def read_pages(data: bytes) -> Iterator[Page]:
    """Every page of an image file; all but TIFF have one.

    Raises:
        ImageError: see `decode_image`.
    """
    if is_tiff(data):
        for page in full_pages(data):
            yield _tiff_page(data, page)
    else:
        yield _page(data)


def only_page(data: bytes, least_side: int | None = None) -> Page:
    """The page of a photograph.

    Raises:
        ImageError: it has several: a defect on another page would be lost.
    """
    if not is_tiff(data):
        return _page(data, least_side)
    pages = list(islice(full_pages(data), 2))
    if not pages:
        raise ImageError("damaged image: a TIFF without a page")
    if len(pages) > 1:
        raise ImageError("it has more than one page: a photograph is one; save each as a file of its own")
    return _tiff_page(data, pages[0])


def _tiff_page(data: bytes, page: TiffPage) -> Page:
    content = read_deep_page(data, page) if page.is_deep else _open(data, page=page)
    return Page(content, page.compression in LOSSY, page, page.bits)


def _page(data: bytes, least_side: int | None = None) -> Page:
    """The page of a file that is no TIFF."""
    if is_dicom(data):
        return Page(read_dicom(data), bits=16)
    if not data.startswith(PNG):
        image = _open(data, least_side)
        return Page(image, image.format in {"JPEG", "MPO"} or (image.format == "WEBP" and _lossy_webp(data)))
    image = _open(data)
    bits = data[24]
    if bits != 16:
        return Page(image, bits=bits)
    return Page(_deep_png(data, image), bits=bits)


def _deep_png(data: bytes, image: Image.Image) -> Deep:
    """All 16 bits of a PNG, of which Pillow keeps eight where it has colours or an opacity."""
    if image.mode.startswith("I"):
        key = image.info.get("transparency")
        values = np.asarray(image)
        return Deep(values, (values != key).astype(np.float64) if isinstance(key, int) else None)
    decoded = by_opencv(data)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        raise ImageError("damaged image: its 16-bit pixels can't be decoded")
    orientation = Image.open(io.BytesIO(data), formats=("PNG",)).getexif().get(ORIENTATION)
    values = _TURNS.get(orientation or 1, np.asarray)(decoded)
    return Deep(values[..., 2::-1], opacity(values[..., 3]) if values.shape[2] == 4 else None)


def _lossy_webp(data: bytes) -> bool:
    """Whether a WebP's first picture is packed as VP8, with losses, and not as VP8L."""
    place = 12
    while place + 8 <= len(data):
        kind, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if kind in {b"VP8 ", b"VP8L"}:
            return kind == b"VP8 "
        place += 8 + size + size % 2
    return True


def _open(data: bytes, least_side: int | None = None, page: TiffPage | None = None) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF is not the user's concern
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if page is not None:
                image.seek(page.number)
            elif image.format in {"PNG", "WEBP"} and getattr(image, "n_frames", 1) > 1:
                raise ImageError(
                    "it is animated: a photograph is one picture; save each as a file of its own"
                )
            check_size(*image.size)
            if least_side is not None:
                image.draft(None, (least_side, least_side))  # JPEG alone can; others are read as they are
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # else it copies images that are upright already
            return image
    except UnidentifiedImageError:
        if page is not None:
            raise unread(page) from None
        raise ImageError("not an image in a supported format") from None
    except DAMAGE as error:
        raise damaged(error) from None
