"""Images of more than 8 bits, in every container, against plain sums over the values that were written."""

import io
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from pipelines.images.deep import Deep
from pipelines.images.pages import read_pages
from pipelines.images.reading import ImageError, decode_image
from tests.pipelines.images.tiff_writer import tiff

RNG = np.random.default_rng(7)


def by_own_extremes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Grey or colour values between their least and greatest, as RGB of 8 bits."""
    low, high = float(values.min()), float(values.max())
    scaled = np.rint((values.astype(np.float64) - low) / (high - low) * 255).astype(np.uint8)
    return scaled if scaled.ndim == 3 else np.stack([scaled] * 3, axis=2)


def cv_png(rgb: npt.NDArray[Any]) -> bytes:
    order = [2, 1, 0, 3][: rgb.shape[2]]
    return bytes(cv2.imencode(".png", np.ascontiguousarray(rgb[..., order]))[1])


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def scratched(shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """12 bits in 16: ground 2000 with a scratch of 1800."""
    values = np.full(shape, 2000, np.uint16)
    values[10:13, 4:20] = 1800
    return values


@pytest.mark.parametrize("container", ["png", "tiff", "motorola"])
@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_a_scratch_of_200_in_65535_is_kept(container: str, shape: tuple[int, ...]) -> None:
    values = scratched(shape)
    data = {
        "png": lambda: cv_png(values) if len(shape) == 3 else saved(Image.fromarray(values), "PNG"),
        "tiff": lambda: tiff(values),
        "motorola": lambda: tiff(values, order=">"),
    }[container]()
    image = decode_image(data)
    assert set(image[10:13, 4:20].ravel().tolist()) == {0}
    assert (image == 255).sum() == 3 * (30 * 40 - 3 * 16)
    assert decode_image(data, (0.0, 4095.0))[0, 0].tolist() == [round(2000 * 255 / 4095)] * 3


@settings(deadline=None, max_examples=60)
@given(arrays(np.uint16, (9, 11, 3)).filter(lambda values: values.min() < values.max()))
def test_any_container_gives_the_same_colours(values: npt.NDArray[np.uint16]) -> None:
    wanted = by_own_extremes(values)
    for data in (
        cv_png(values),
        tiff(values),
        tiff(values, order=">"),
        bytes(cv2.imencode(".tiff", values[..., ::-1])[1]),
    ):
        np.testing.assert_array_equal(decode_image(data), wanted)


@settings(deadline=None, max_examples=60)
@given(arrays(np.uint8, (9, 11, 3)))
def test_any_container_gives_the_same_bytes(values: npt.NDArray[np.uint8]) -> None:
    image = Image.fromarray(values)
    files = [
        *(saved(image, kind) for kind in ("PNG", "BMP", "TIFF")),
        saved(image, "WEBP", lossless=True, exact=True),
        saved(image, "TIFF", compression="tiff_lzw"),
        *(bytes(cv2.imencode(end, values[..., ::-1])[1]) for end in (".png", ".bmp", ".tiff")),
        tiff(values),
    ]
    for data in files:
        np.testing.assert_array_equal(decode_image(data), values)
    grey = np.stack([values[..., 0]] * 3, axis=2)
    for data in (saved(Image.fromarray(values[..., 0]), "PNG"), tiff(values[..., 0])):
        np.testing.assert_array_equal(decode_image(data), grey)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("i1", -128, 127),
        ("i2", -30_000, 30_000),
        ("u4", 0, 2**32 - 1),
        ("i4", -(2**31), 2**31 - 1),
        ("f4", -3, 5),
        ("f8", -3, 5),
        ("u2", 0, 65_535),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflated", [False, True])
def test_numbers_are_read_as_they_were_written(
    kind: str, low: int, high: int, order: str, deflated: bool
) -> None:
    values = np.linspace(low, high, 12 * 16).reshape(12, 16).astype(kind)
    data = tiff(values, order=order, deflated=deflated)
    (page,) = read_pages(data)
    assert isinstance(page.content, Deep)
    np.testing.assert_array_equal(page.content.values, values)
    np.testing.assert_array_equal(decode_image(data), by_own_extremes(values))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", [0, 1])
def test_packed_samples_are_not_spread(bits: int, photometric: int) -> None:
    values = RNG.integers(0, 2**bits, (12, 16)).astype(np.uint16)
    (page,) = read_pages(tiff(values, bits=bits, photometric=photometric))
    assert isinstance(page.content, Deep)
    wanted = values if photometric else 2**bits - 1 - values
    np.testing.assert_array_equal(page.content.values, wanted)


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (RNG.integers(0, 256, (12, 16)).astype(np.uint8), lambda v: 255 - v),
        (RNG.integers(0, 65_536, (12, 16)).astype(np.uint16), lambda v: 65_535 - v),
        (RNG.integers(0, 2**32, (12, 16)).astype(np.uint32), lambda v: 2**32 - 1 - v.astype(np.int64)),
        (RNG.integers(-99, 99, (12, 16)).astype(np.int16), lambda v: -1 - v),
        (RNG.integers(-99, 99, (12, 16)).astype(np.int8), lambda v: -1 - v),
        (RNG.random((12, 16)).astype(np.float32), lambda v: 1 - v.astype(np.float64)),
    ],
)
@pytest.mark.parametrize("packing", [{}, {"order": ">"}, {"order": ">", "deflated": True}])
def test_white_is_zero_is_a_negative_of_any_depth(
    values: npt.NDArray[Any], positive: Any, packing: dict[str, Any]
) -> None:
    image = decode_image(tiff(values, photometric=0, **packing))
    if values.dtype == np.uint8:
        np.testing.assert_array_equal(image[..., 0], positive(values))
    else:
        np.testing.assert_array_equal(image, by_own_extremes(positive(values)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_colours_of_16_bits_are_put_upright_as_grey_is(orientation: int) -> None:
    values = RNG.integers(0, 65_536, (9, 12)).astype(np.uint16)
    colours = np.stack([values] * 3, axis=2)
    upright = decode_image(tiff(values, orientation=orientation))
    assert upright.shape[:2] == ((9, 12) if orientation < 5 else (12, 9))
    np.testing.assert_array_equal(decode_image(tiff(colours, orientation=orientation)), upright)
    signed = (values - 32_768.0).astype(np.int16)
    turned = decode_image(tiff(signed, orientation=orientation, order=">", deflated=True))
    np.testing.assert_array_equal(turned, upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    chunk = exif.tobytes()[6:]
    png = cv_png(colours)
    crc = int(np.uint32(zlib.crc32(b"eXIf" + chunk)))
    tagged = png[:33] + len(chunk).to_bytes(4, "big") + b"eXIf" + chunk + crc.to_bytes(4, "big") + png[33:]
    np.testing.assert_array_equal(decode_image(tagged), upright)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_takes_no_part_in_the_levels(bad: float) -> None:
    values = np.tile(np.linspace(240, 255, 64), (64, 1))
    whole = decode_image(tiff(values))
    assert len(np.unique(whole)) == 64
    values[5, 7] = bad
    image = decode_image(tiff(values))
    assert image[5, 7].tolist() == [255 if bad > 0 else 0] * 3
    image[5, 7] = whole[5, 7]
    np.testing.assert_array_equal(image, whole)


def test_what_was_not_measured_takes_no_part_either() -> None:
    values = np.tile(np.linspace(240, 255, 64, dtype=np.float32), (64, 1))
    whole = decode_image(tiff(values))
    values[5, 7] = -9999
    image = decode_image(tiff(values, nodata="-9999"))
    assert image[5, 7].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(np.delete(image, 5, axis=0), np.delete(whole, 5, axis=0))


def test_an_image_without_a_number_or_beyond_all_numbers_says_so() -> None:
    with pytest.raises(ImageError, match="no pixel of it holds a finite number"):
        decode_image(tiff(np.full((9, 9), np.nan, np.float32)))
    with pytest.raises(ImageError, match="too far apart"):
        decode_image(tiff(np.array([[-1e308, 1e308] * 5] * 9)))


def test_transparency_of_16_bits_is_laid_over_black() -> None:
    values = np.zeros((10, 10, 4), np.uint16)
    values[..., :3] = 30_000
    values[:5, :, :3] = 40_000
    values[2:8, :, 3] = 65_535
    values[9, :, 3], values[9, :, :3] = 0, 65_535  # clear, so its white is no level
    for data in (cv_png(values), tiff(values, extra=2)):
        image = decode_image(data)
        assert image[3, 3].tolist() == [255, 255, 255]
        assert image[0, 0].tolist() == image[6, 6].tolist() == image[9, 9].tolist() == [0, 0, 0]


def test_a_photograph_has_one_page_and_one_picture() -> None:
    page = RNG.integers(0, 256, (12, 16)).astype(np.uint8)
    for pages in ((page, page), (page.astype(np.uint16), page.astype(np.uint16))):
        with pytest.raises(ImageError, match="more than one page"):
            decode_image(tiff(*pages))
    small = page[:8, :8]
    np.testing.assert_array_equal(decode_image(tiff(page, small, subfile=(0, 1)))[..., 0], page)
    np.testing.assert_array_equal(decode_image(tiff(small, page, subfile=(1, 0)))[..., 0], page)
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for kind in ("PNG", "WEBP"):
        with pytest.raises(ImageError, match="animated"):
            decode_image(saved(frames[0], kind, save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize(
    ("values", "fields", "says"),
    [
        (np.zeros((9, 9), np.float16), {}, "1 float samples of 16 bits"),
        (np.zeros((9, 9, 4), np.uint16), {"photometric": 5}, "photometric 5"),
        (np.zeros((9, 9, 2), np.uint16), {"photometric": 1, "extra": 2}, "2 unsigned samples"),
        (np.zeros((9, 9, 5), np.uint16), {}, "5 unsigned samples"),
        (np.zeros((9, 9, 3), np.uint16), {"planar": 2}, "in separate planes, is not read"),
    ],
)
def test_what_is_not_read_says_its_kind(values: npt.NDArray[Any], fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ImageError, match=says):
        decode_image(tiff(values, **fields))


def test_a_bigtiff_of_the_other_order_is_not_called_damaged() -> None:
    with pytest.raises(ImageError, match="a BigTIFF whose numbers begin with their highest byte is not read"):
        decode_image(b"MM\0+\0\x08\0\0" + (16).to_bytes(8, "big") + bytes(16))


def test_planes_of_8_bits_are_joined() -> None:
    values = RNG.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    packings: list[dict[str, Any]] = [{}, {"deflated": True}, {"order": ">"}]
    for packing in packings:
        np.testing.assert_array_equal(decode_image(tiff(values, planar=2, **packing)), values)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 400), st.binary(max_size=12))
def test_damaged_tiffs_never_escape(at: int, junk: bytes) -> None:
    whole = tiff(RNG.integers(0, 65_536, (9, 9, 3)).astype(np.uint16))
    try:
        image = decode_image(whole[:at] + junk + whole[at + len(junk) :])
    except ImageError:
        return
    assert image.ndim == 3
    assert image.dtype == np.uint8
