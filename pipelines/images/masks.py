"""Which pixels of a mask file are defective: one rule for every encoding that tools write.

1. Each pixel gets a value. Grey: its grey. Colours: the strongest channel. An opacity multiplies it; where
   all that is visible is black, the opacity alone counts. A palette: the index, except where all colours used
   are greys and index 0 is black. Pages of a TIFF are read one by one and joined.
2. The value 0 is the ground. A mask without another value is empty.
3. The values are numbers, and every one but 0 is a defect, in a palette, where none is above 31, or where the
   data set numbers its defects; but not in a file packed with losses (JPEG), nor where most values differ
   from their neighbours. In a palette 255 is void beside other numbers, as in Pascal VOC.
4. Otherwise a pixel is defective above half of the mask's greatest value; above 0.5 for fractions.

A mask that has values is never taken as empty, nor guessed at. It is refused where rule 4 finds its greatest
value too low (below 32, or 0.5), where all or most of its border is defective (white ground), and where even
areas lie below half of the greatest value (numbers, perhaps). A TIFF of one bit whose zero is white is taken
as stored where it would be refused so: `tifffile` writes bool arrays like that.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.images.deep import Deep
from pipelines.images.limits import ImageError
from pipelines.images.pages import Page, read_pages
from pipelines.images.tiff import FAX, WHITE_IS_ZERO

MAX_NUMBER = 31  # greatest value of a mask that numbers its defects without saying so
VOID, VOC_VOID = 255, (224, 224, 192)  # index and colour of VOC's border between objects
GREYS, RUN = 4, 3  # a picture has more values than these, in shorter runs
BORDER = 0.6  # share of the border; true masks of magnetic tiles reach 0.49
EVEN_LEAST, EVEN_SHARE = 9, 0.1  # even areas: pixels, and their share of the defective ones

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Values:
    """Values of one page: (H, W), and whether they are a palette's indices."""

    values: npt.NDArray[Any]
    indices: bool = False


def defective_pixels(data: bytes, *, numbered: bool = False) -> Mask:
    """The defective pixels of an encoded mask, (H, W).

    Args:
        data: the file's bytes.
        numbered: whether the data set numbers its defects.

    Raises:
        ImageError: no image; pages of different sizes; values, but none that can be called a defect.
    """
    whole: Mask | None = None
    for page in read_pages(data):
        mask = _page_mask(page, numbered)
        if whole is not None and whole.shape != mask.shape:
            raise ImageError("its pages have different sizes")
        whole = mask if whole is None else whole | mask
    if whole is None:
        raise ImageError("damaged image: a TIFF without a page")
    return whole


def _page_mask(page: Page, numbered: bool) -> Mask:
    tiff = page.tiff
    if tiff is not None and tiff.bits == 1 and tiff.photometric == WHITE_IS_ZERO:
        return _two_sided(np.asarray(page.content) > 0, fax=tiff.compression in FAX)
    found = _deep_values(page.content) if isinstance(page.content, Deep) else _values(page.content, page.bits)
    return _defective(found, numbered=numbered, lossy=page.lossy)


def _two_sided(shown: Mask, *, fax: bool) -> Mask:
    """A bilevel page as it is shown, or as it is stored where its ground would be white otherwise."""
    if not shown.any() and not fax:
        raise ImageError("all of it is stored as 1 and shown as black: save it with black as zero")
    mask = ~shown if shown.all() or _border_share(shown) > BORDER else shown
    if _border_share(mask) > BORDER:
        raise _inverted()
    return mask


def _deep_values(deep: Deep) -> _Values:
    values = deep.values
    if not np.isfinite(values).all():
        raise ImageError("it holds values that are no finite numbers")
    if (values < 0).any():
        raise ImageError(f"it holds values below 0 (least {values.min():g})")
    strongest = values.max(axis=2) if values.ndim == 3 else values
    return _Values(strongest if deep.alpha is None else _seen(strongest.astype(np.float64), deep.alpha))


def _values(image: Image.Image, bits: int) -> _Values:
    if image.mode == "P" and (palette := _indices(image)) is not None:
        return palette
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        layers = np.asarray(image.convert("RGBA"))
        return _Values(_seen(layers[..., :3].max(axis=2).astype(np.float64), layers[..., 3] / 255))
    if image.mode in {"1", "L"}:
        # Pillow spreads 2 and 4 bits over 8.
        return _Values(np.asarray(image).astype(np.uint8) // {2: 85, 4: 17}.get(bits, 1))
    return _Values(np.asarray(image.convert("RGB")).max(axis=2))


def _seen(strongest: npt.NDArray[np.float64], alpha: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What is drawn on a clear ground; in whole numbers again where the opacity is 0 or 1."""
    visible = alpha > 0
    if not visible.any() and strongest.min() != strongest.max():
        raise ImageError("it is clear everywhere, though it holds colours")
    if visible.all() or (strongest[visible] > 0).any():
        return (strongest * alpha).round(6)  # 255 · (49 / 255) is not quite 49
    return alpha * 255


def _indices(image: Image.Image) -> _Values | None:
    """A palette's indices, or its greys from black on; None where its opacity tells more."""
    indices = np.asarray(image)
    used = np.unique(indices)
    colours = _palette(image)
    if (colours[used, 3] < 255).any():
        return None
    greys = (colours[used, :3] == colours[used, :1]).all()
    if greys and not colours[0, :3].any():
        return _Values(colours[indices, 0])
    if VOID in used and (len(used[(used != 0) & (used != VOID)]) or tuple(colours[VOID, :3]) == VOC_VOID):
        if len(used[(used != 0) & (used != VOID)]) == 0:
            raise ImageError(f"it marks void pixels alone (index {VOID})")
        indices = np.where(indices == VOID, 0, indices)
    return _Values(indices, indices=True)


def _palette(image: Image.Image) -> npt.NDArray[np.uint8]:
    """The 256 colours of a palette, RGBA, (256, 4)."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    ramp.putpalette(image.getpalette() or [])
    ramp.info = dict(image.info)
    colours: npt.NDArray[np.uint8] = np.asarray(ramp.convert("RGBA"))[0]
    return colours


def _defective(found: _Values, *, numbered: bool, lossy: bool) -> Mask:
    from scipy import ndimage  # slow to import; who lists images needs it not

    values = found.values
    highest = values.max()
    if highest == 0:
        return np.zeros(values.shape, np.bool_)
    whole = values.dtype.kind in "uib" or bool((values == np.round(values)).all())
    numbers = found.indices or (whole and (numbered or highest <= MAX_NUMBER))
    if numbers and not lossy and not _is_picture(values):
        mask = values > 0
    elif not whole and highest <= 1:
        mask = values > 0.5
        if not mask.any():
            raise ImageError(f"no value of it is above 0.5 (greatest {highest:g})")
    elif highest <= MAX_NUMBER:
        raise ImageError(f"its values waver and none is above {MAX_NUMBER} (greatest {highest:g})")
    else:
        mask = values > highest / 2
        even = (ndimage.maximum_filter(values, 3) == ndimage.minimum_filter(values, 3)) & (values > 0) & ~mask
        if not lossy and even.sum() >= max(EVEN_LEAST, EVEN_SHARE * mask.sum()):
            some = ", ".join(f"{value:g}" for value in np.unique(values[even])[:5])
            raise ImageError(
                f"it holds even areas of the value {some} below half of its greatest, {highest:g}: give its "
                "ground the value 0 and all its defects one value"
            )
    if mask.all():
        raise ImageError(
            "all of it is marked: its ground can't be told from its defects; give that the value 0"
        )
    if _border_share(mask) > BORDER:
        raise _inverted()
    return mask


def _is_picture(values: npt.NDArray[Any]) -> bool:
    """Whether values vary from pixel to pixel, as greys do and numbers of defects don't."""
    inner = (values > 0) & (values < values.max())
    if len(np.unique(values[inner])) <= GREYS:
        return False
    return all(_mean_run(rows, mask) < RUN for rows, mask in ((values, inner), (values.T, inner.T)))


def _mean_run(values: npt.NDArray[Any], inner: Mask) -> float:
    """Mean length of the runs of one value along the rows, of the pixels in `inner`."""
    same = inner[:, 1:] & inner[:, :-1] & (values[:, 1:] == values[:, :-1])
    return float(inner.sum() / (inner.sum() - same.sum()))


def _border_share(mask: Mask) -> float:
    """Share of the outermost pixels that are marked."""
    return float(np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]]).mean())


def _inverted() -> ImageError:
    return ImageError("most of its border is marked: it seems inverted; give its ground the value 0")
