"""DICOM and DICONDE plates (ASTM E2339), by pydicom, which is an extra of its own."""

import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.images.deep import Deep, Levels
from pipelines.images.limits import DAMAGE, ImageError, check_size, damaged

MARK = b"DICM"
NEGATIVE, POSITIVE = "MONOCHROME1", "MONOCHROME2"
DEFLATED, RLE = b"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"  # transfer syntaxes
HEAD = 4_096  # bytes in which the transfer syntax is named
LINEAR, EXACT = "LINEAR", "LINEAR_EXACT"


def is_dicom(data: bytes) -> bool:
    """Whether a file has DICOM's mark after its preamble of 128 bytes."""
    return data[128:132] == MARK


def read_dicom(data: bytes) -> Deep:
    """The plate's values after its rescale, bright as they are shown: MONOCHROME1 is turned into a positive.

    A MONOCHROME1 value v becomes low + high − v, low and high being the ends of its stored bits after the
    rescale. The first window, where there is one, becomes `Deep.window` (PS3.3 C.11.2.1.2, LINEAR and
    LINEAR_EXACT). Padding counts as not measured. Presentation tables (VOI LUT) are not applied.

    Raises:
        ImageError: pydicom is not installed, damaged, in colours, of several frames, packed otherwise than by
            run lengths, or its values are not in the lowest bits (DICOM PS3.5, 8.1.1).
    """
    try:
        from pydicom import dcmread
        from pydicom.errors import BytesLengthException, InvalidDicomError
    except ImportError:
        raise ImageError('DICOM is read with pydicom: pip install "agssp[dicom]"') from None
    if DEFLATED in data[:HEAD]:
        raise unread("deflated")  # pydicom would inflate it without a limit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd but readable fields are not the user's concern
            return _values(dcmread(io.BytesIO(data)))
    except (*DAMAGE, RuntimeError, NotImplementedError, BytesLengthException, InvalidDicomError) as error:
        raise damaged(error) from None


def unread(how: str) -> ImageError:
    """The error of a plate that is packed in a way which is not read."""
    return ImageError(f"its DICOM pixels are packed ({how}), which is not read: save it uncompressed")


def _values(plate: Any) -> Deep:
    from pydicom.pixels.processing import apply_modality_lut

    check_size(int(plate.Columns), int(plate.Rows))
    if int(plate.get("NumberOfFrames", 1) or 1) > 1:
        raise ImageError("it has more than one frame: a photograph is one; save each as a file of its own")
    kind = str(plate.PhotometricInterpretation)
    if kind not in {NEGATIVE, POSITIVE}:
        raise ImageError(f"a DICOM image of kind {kind} is not read: only {NEGATIVE} and {POSITIVE} are")
    if kind == NEGATIVE and "ModalityLUTSequence" in plate:
        raise ImageError(f"a {NEGATIVE} image with a modality table is not read; save it as a 16-bit TIFF")
    syntax = plate.file_meta.TransferSyntaxUID
    if syntax.is_compressed and syntax != RLE:  # what a codestream claims of its size is checked by no one
        raise unread(syntax.name)
    bits = int(plate.BitsStored)
    highest = int(plate.get("HighBit", bits - 1))
    if highest != bits - 1:  # as old devices wrote; pydicom would take other bits of each value
        raise ImageError(
            f"its values of {bits} bits end at bit {highest} instead of {bits - 1}, which is not read; "
            "save it as a 16-bit TIFF"
        )
    stored = plate.pixel_array
    values = np.array(apply_modality_lut(stored, plate), np.float64)
    values[_padding(plate, stored)] = np.nan
    window = _window(plate)
    if kind == POSITIVE:
        return Deep(values, window=window)
    mirror = _mirror(plate)
    return Deep(mirror - values, window=None if window is None else (mirror - window[1], mirror - window[0]))


def _mirror(plate: Any) -> float:
    """Least plus greatest value that its bits can hold, after the rescale."""
    ends = -1 if plate.PixelRepresentation else (1 << int(plate.BitsStored)) - 1
    slope, intercept = plate.get("RescaleSlope"), plate.get("RescaleIntercept")
    return float(1 if slope is None else slope) * ends + 2 * float(intercept or 0)


def _padding(plate: Any, stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    first = plate.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, np.bool_)
    low, high = sorted((int(first), int(plate.get("PixelPaddingRangeLimit", first))))
    return (stored >= low) & (stored <= high)


def _window(plate: Any) -> Levels | None:
    centre, width = (_first(plate.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return None
    form = str(plate.get("VOILUTFunction") or LINEAR)
    if form not in {LINEAR, EXACT}:
        raise ImageError(f"a DICOM window of form {form} is not read: only {LINEAR} and {EXACT} are")
    if form == LINEAR:
        centre, width = centre - 0.5, width - 1
    return (centre - width / 2, centre + width / 2) if width > 0 else None


def _first(value: Any) -> float | None:
    """A field's first number; None where it is empty."""
    several = list(value) if hasattr(value, "__iter__") else [value]
    return float(several[0]) if several and several[0] not in {None, ""} else None
