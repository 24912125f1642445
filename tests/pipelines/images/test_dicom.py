"""DICOM plates against the formulas of the standard (PS3.3 C.7.6.3, C.11.1, C.11.2), written out."""

import io
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.images.pages import read_pages
from pipelines.images.reading import ImageError, decode_image

RNG = np.random.default_rng(3)


def plate(values: npt.NDArray[Any], kind: str = "MONOCHROME2", bits: int = 12, **fields: Any) -> bytes:
    """An uncompressed plate with so many of 16 bits in use."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import (
        DigitalXRayImageStorageForPresentation,
        ExplicitVRLittleEndian,
        generate_uid,
    )

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.Rows, made.Columns = values.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, kind
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, bits, bits - 1
    made.PixelRepresentation = int(values.dtype.kind == "i")
    made.PixelData = values.astype("<i2" if values.dtype.kind == "i" else "<u2").tobytes()
    for name, value in fields.items():
        setattr(made, name, value)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def stored(low: int = 0, high: int = 4095) -> npt.NDArray[np.uint16]:
    values = RNG.integers(low + 1, high, (20, 24)).astype(np.uint16)
    values[0, :2] = low, high
    return values


def grey(values: npt.NDArray[Any], black: float, white: float) -> npt.NDArray[np.uint8]:
    shares = (values.astype(np.float64) - black) * (255.0 / (white - black))
    scaled: npt.NDArray[np.uint8] = np.rint(shares.clip(0, 255)).astype(np.uint8)
    return scaled


def test_a_plate_is_scaled_between_its_own_extremes() -> None:
    values = stored(300, 900)
    np.testing.assert_array_equal(decode_image(plate(values))[..., 0], grey(values, 300, 900))


def test_monochrome1_is_a_negative_within_its_stored_bits() -> None:
    values = stored(300, 900)
    data = plate(values, "MONOCHROME1")
    np.testing.assert_array_equal(decode_image(data), decode_image(plate(4095 - values)))
    np.testing.assert_array_equal(decode_image(data, (0.0, 4095.0))[..., 0], grey(4095 - values, 0, 4095))


def test_the_rescale_comes_before_levels() -> None:
    values = stored()
    rescaled = values * 2.0 - 1024
    data = plate(values, RescaleSlope=2, RescaleIntercept=-1024, RescaleType="US")
    np.testing.assert_array_equal(decode_image(data, (0.0, 3000.0))[..., 0], grey(rescaled, 0, 3000))
    negative = plate(values, "MONOCHROME1", RescaleSlope=2, RescaleIntercept=-1024, RescaleType="US")
    mirrored = (4095 * 2 - 1024) + (0 * 2 - 1024) - rescaled
    np.testing.assert_array_equal(decode_image(negative, (0.0, 3000.0))[..., 0], grey(mirrored, 0, 3000))


def test_signed_plates_keep_their_sign() -> None:
    values = RNG.integers(-2000, 2000, (20, 24)).astype(np.int16)
    (page,) = read_pages(plate(values))
    np.testing.assert_array_equal(page.content.values, values)  # type: ignore[union-attr]
    (page,) = read_pages(plate(values, "MONOCHROME1"))
    np.testing.assert_array_equal(page.content.values, -1 - values.astype(int))  # type: ignore[union-attr]


def test_bits_beyond_those_stored_do_not_count() -> None:
    """PS3.5 8.1.1: of 16 bits 12 are used; the others may be 0, the sign or an old overlay."""
    values = RNG.integers(-2000, 2000, (20, 24)).astype(np.int16)
    (page,) = read_pages(plate(values & 0xFFF))
    np.testing.assert_array_equal(page.content.values, values)  # type: ignore[union-attr]
    (page,) = read_pages(plate((values & 0xFFF).astype(np.uint16) | 0x8000))
    np.testing.assert_array_equal(page.content.values, values & 0xFFF)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_is_the_default_and_levels_go_before_it(kind: str) -> None:
    values = stored()
    data = plate(values, kind, WindowCenter=["1000", "7"], WindowWidth=["401", "9"])
    # LINEAR: black at c − 0.5 − (w − 1)/2, white at c − 0.5 + (w − 1)/2, before the values are turned.
    shown = grey(values, 799.5, 1199.5)
    positive = values if kind == "MONOCHROME2" else 4095 - values
    if kind == "MONOCHROME1":
        shown = grey(positive, 4095 - 1199.5, 4095 - 799.5)
    np.testing.assert_array_equal(decode_image(data)[..., 0], shown)
    np.testing.assert_array_equal(decode_image(data, (0.0, 4095.0))[..., 0], grey(positive, 0, 4095))
    exact = plate(values, kind, WindowCenter=1000, WindowWidth=400, VOILUTFunction="LINEAR_EXACT")
    low, high = (800, 1200) if kind == "MONOCHROME2" else (4095 - 1200, 4095 - 800)
    np.testing.assert_array_equal(decode_image(exact)[..., 0], grey(positive, low, high))


def test_padding_is_not_measured() -> None:
    values = stored(300, 900)
    values[5] = 0
    image = decode_image(plate(values, PixelPaddingValue=0))
    wanted = grey(values, 300, 900)
    wanted[5] = 0
    np.testing.assert_array_equal(image[..., 0], wanted)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "kind PALETTE COLOR is not read"),
        ({"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "SIGMOID"}, "form SIGMOID is not read"),
        ({"NumberOfFrames": 2}, "more than one frame"),
        ({"HighBit": 15}, "values of 12 bits end at bit 15"),
        ({"Rows": 60_000, "Columns": 60_000}, "exceed the limit"),
        ({"Rows": 2}, "smaller than"),
        ({"Rows": 30}, "damaged|not read"),
    ],
)
def test_what_is_not_read_says_so(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ImageError, match=says):
        decode_image(plate(stored(), **fields))


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"]
)
def test_packed_plates_are_refused_before_they_are_unpacked(syntax: str) -> None:
    data = plate(stored())
    plain = b"1.2.840.10008.1.2.1\0"
    place = data.index(plain)
    longer = syntax.encode() + b"\0" * (len(syntax) % 2)
    shift = len(longer) - len(plain)
    data = data[: place - 2] + len(longer).to_bytes(2, "little") + longer + data[place + len(plain) :]
    length = int.from_bytes(data[140:144], "little") + shift
    with pytest.raises(ImageError, match="save it uncompressed"):
        decode_image(data[:140] + length.to_bytes(4, "little") + data[144:])


def test_damaged_plates_never_escape() -> None:
    whole = plate(stored())
    for at in range(100, len(whole), 37):
        for data in (whole[:at], whole[:at] + b"\xff\x00\xff" + whole[at + 3 :]):
            try:
                decode_image(data)
            except ImageError:
                continue


def test_without_pydicom_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImageError, match=r'pip install "agssp\[dicom\]"'):
        decode_image(b"\0" * 128 + b"DICM" + b"\0" * 100)
