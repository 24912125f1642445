"""Run lengths of masks, down the columns: COCO's counts, their text form, and start-length pairs."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.annotations.base import AnnotationError, Mask

MAX_TEXT = 8 << 20  # characters of one mask; a 100-megapixel mask of thousands of regions stays far below


def encode_mask(mask: Mask) -> str:
    """A mask as COCO's run-length text; its size must be kept beside it.

    Args:
        mask: (H, W).

    Raises:
        AnnotationError: it is noise, longer than `MAX_TEXT`.
    """
    from faster_coco_eval.core import mask as coco_mask  # slow to import; who lists images needs it not

    text = str(coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"], "ascii")
    if len(text) > MAX_TEXT:
        raise AnnotationError(f"its mask is noise: more than {MAX_TEXT:,} characters of run lengths")
    return text


def decode_mask(text: str, width: int, height: int) -> Mask:
    """The mask of COCO's run-length text, (height, width).

    Raises:
        AnnotationError: damaged text, or runs that don't fill the mask.
    """
    return mask_of_counts(counts_of_text(text), width, height)


def counts_of_text(text: str) -> npt.NDArray[np.int64]:
    """Run lengths of COCO's text form, background first.

    Base 32, least digit first; 0x20 marks that more digits follow, 0x10 in the last one a negative number.
    From the fourth on each is the difference to the one two places before.

    Written here and not taken from a library, because those trust the text and write past their memory.

    Raises:
        AnnotationError: a character outside COCO's 64, a number cut short, too long or negative.
    """
    if len(text) > MAX_TEXT:
        raise AnnotationError(f"its run lengths have more than {MAX_TEXT:,} characters")
    counts: list[int] = []
    value = shift = 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64:
            raise AnnotationError("its run lengths hold a character that COCO does not use")
        value |= (digit & 0x1F) << shift
        shift += 5
        if digit & 0x20:
            if shift > 35:  # a run of 2³⁵ pixels is beyond any image
                raise AnnotationError("its run lengths hold a number that is too large")
            continue
        if digit & 0x10:
            value -= 1 << shift
        if len(counts) > 2:
            value += counts[-2]
        if value < 0:
            raise AnnotationError("its run lengths hold a negative number")
        counts.append(value)
        value = shift = 0
    if shift:
        raise AnnotationError("its run lengths are cut short")
    return np.array(counts, dtype=np.int64)


def mask_of_counts(counts: Sequence[int] | npt.NDArray[np.int64], width: int, height: int) -> Mask:
    """The mask of COCO's uncompressed counts: runs of background and defect in turn, down the columns.

    Raises:
        AnnotationError: not whole numbers of at least 0, or their sum is not width × height.
    """
    runs = np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind not in "iu" or (runs < 0).any():
        raise AnnotationError("its run lengths are no whole numbers of at least 0")
    # In Python's integers, where huge runs can't wrap around to the right sum.
    total = sum(runs.tolist())
    if total != width * height:
        raise AnnotationError(f"its run lengths cover {total:,} pixels, the image has {width * height:,}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def mask_of_runs(text: str, width: int, height: int) -> Mask:
    """The mask of `start length start length …`, starts from 1 down the columns (Severstal's form).

    Raises:
        AnnotationError: not pairs of whole numbers above 0, or a run leaves the image.
    """
    if len(text) > MAX_TEXT:
        raise AnnotationError(f"its run lengths have more than {MAX_TEXT:,} characters")
    words = text.split()
    if len(words) % 2 or not all(word.isascii() and word.isdigit() and len(word) < 12 for word in words):
        raise AnnotationError("its run lengths are no pairs of start and length")
    pairs = np.array(words, dtype=np.int64).reshape(-1, 2)
    starts, lengths = pairs[:, 0] - 1, pairs[:, 1]
    ends = starts + lengths
    if (starts < 0).any() or (lengths < 1).any() or (ends > width * height).any():
        raise AnnotationError(f"its run lengths leave the image of {width}×{height} pixels")
    steps = np.zeros(width * height + 1, dtype=np.int32)
    np.add.at(steps, starts, 1)
    np.add.at(steps, ends, -1)
    return (np.cumsum(steps[:-1]) > 0).reshape(width, height).T
