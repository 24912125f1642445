"""One region, in every encoding that tools write; and masks that must be refused by name."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from pipelines.images.masks import defective_pixels
from pipelines.images.reading import ImageError, read_mask
from tests.pipelines.images.tiff_writer import tiff

WIDTH, HEIGHT = 160, 120
REGION = np.zeros((HEIGHT, WIDTH), np.bool_)
REGION[50:80, 60:100] = True  # the box (60, 50)-(100, 80)
BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (128, 0, 0)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def grey(value: int, kind: Any = np.uint8) -> npt.NDArray[Any]:
    return np.where(REGION, value, 0).astype(kind)


def painted(ground: tuple[int, ...], region: tuple[int, ...], mode: str) -> Image.Image:
    return Image.fromarray(np.where(REGION[..., None], region, ground).astype(np.uint8), mode)


def palette(*colours: tuple[int, int, int], index: int = 1, **info: Any) -> Image.Image:
    image = Image.fromarray(grey(index), "P")
    image.putpalette([value for colour in colours for value in colour])
    image.info.update(info)
    return image


ENCODINGS: dict[str, Callable[[], bytes]] = {
    **{
        f"grey {value}": partial(lambda value: saved(Image.fromarray(grey(value))), value)
        for value in (1, 2, 31, 32, 100, 255)
    },
    "one bit": lambda: saved(Image.fromarray(REGION)),
    "one bit, fax": lambda: saved(Image.fromarray(REGION), "TIFF", compression="group4"),
    "one bit, BMP": lambda: saved(Image.fromarray(REGION), "BMP"),
    "palette": lambda: saved(palette(BLACK, RED)),
    "palette, BMP": lambda: saved(palette(BLACK, RED), "BMP"),
    "palette, white ground": lambda: saved(palette(WHITE, BLACK)),
    "palette, index 255": lambda: saved(palette(*[BLACK] * 255, RED, index=255)),
    "palette of greys": lambda: saved(palette(BLACK, BLACK, WHITE, index=2)),
    "palette, clear ground": lambda: saved(palette(WHITE, RED), transparency=0),
    "red": lambda: saved(painted(BLACK, RED, "RGB")),
    "blue": lambda: saved(painted(BLACK, (0, 0, 255), "RGB")),
    "dim": lambda: saved(painted(BLACK, (3, 0, 0), "RGB")),
    "white with alpha": lambda: saved(painted((*WHITE, 0), (*WHITE, 255), "RGBA")),
    "red on clear": lambda: saved(painted((*BLACK, 0), (*RED, 255), "RGBA")),
    "red on clear white": lambda: saved(painted((*WHITE, 0), (*RED, 255), "RGBA")),
    "black on clear": lambda: saved(painted((*BLACK, 0), (*BLACK, 255), "RGBA")),
    "opaque": lambda: saved(painted((*BLACK, 255), (*WHITE, 255), "RGBA")),
    "half opaque": lambda: saved(painted((*BLACK, 128), (*WHITE, 128), "RGBA")),
    "LA": lambda: saved(painted((255, 0), (255, 255), "LA")),
    "LA, opaque": lambda: saved(painted((0, 255), (255, 255), "LA")),
    "LA, faint": lambda: saved(painted((255, 0), (255, 49), "LA")),
    "white WebP": lambda: saved(painted(BLACK, WHITE, "RGB"), "WEBP", lossless=True),
    "CMYK": lambda: saved(painted((0, 0, 0, 255), (0, 0, 0, 0), "CMYK"), "TIFF"),
    "16 bits": lambda: saved(Image.fromarray(grey(65_535, np.uint16))),
    "16 bits, 1": lambda: saved(Image.fromarray(grey(1, np.uint16))),
    "16 bits, 300": lambda: tiff(grey(300, np.uint16)),
    "16 bits, colours": lambda: tiff(np.stack([grey(40_000, np.uint16), *[grey(0, np.uint16)] * 2], axis=2)),
    "32 bits": lambda: tiff(grey(2**32 - 1, np.uint32)),
    "fractions": lambda: tiff(grey(1, np.float32)),
    "fractions, soft": lambda: tiff(grey(1, np.float32) * 0.9),
    "floats of 255": lambda: tiff(grey(255, np.float32)),
    "four bits": lambda: tiff(grey(3), bits=4),
    "tifffile's bool": lambda: tiff(REGION.astype(np.uint8), bits=1, photometric=0),
    "one bit, white is zero": lambda: tiff((~REGION).astype(np.uint8), bits=1, photometric=0),
    "eight bits, white is zero": lambda: tiff(255 - grey(255), photometric=0),
    "JPEG": lambda: saved(Image.fromarray(grey(255)), "JPEG", quality=60),
    "JPEG of 100": lambda: saved(Image.fromarray(grey(100)), "JPEG", quality=75),
    "JPEG in colour": lambda: saved(painted(BLACK, (255, 0, 0), "RGB"), "JPEG", quality=90, subsampling=0),
    "lossy WebP": lambda: saved(painted(BLACK, WHITE, "RGB"), "WEBP", quality=70),
    "JPEG saved again": lambda: saved(
        Image.open(io.BytesIO(saved(Image.fromarray(grey(255)), "JPEG", quality=60)))
    ),
    "pages": lambda: tiff(np.where(np.arange(WIDTH) < 80, grey(255), 0).astype(np.uint8), grey(255)),
    "pages of one bit": lambda: tiff(
        *(
            np.where(side, REGION, 0).astype(np.uint8)
            for side in (np.arange(WIDTH) < 80, np.arange(WIDTH) >= 80)
        ),
        bits=1,
    ),
}


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("name", ENCODINGS)
def test_the_region_is_the_same_in_every_encoding(name: str, numbered: bool) -> None:
    np.testing.assert_array_equal(defective_pixels(ENCODINGS[name](), numbered=numbered), REGION)


def test_soft_edges_are_cut_at_half() -> None:
    soft = Image.fromarray(grey(255)).filter(ImageFilter.BoxBlur(1))
    wanted = np.asarray(soft).astype(int) > 127
    np.testing.assert_array_equal(defective_pixels(saved(soft)), wanted)
    np.testing.assert_array_equal(defective_pixels(saved(soft.point(lambda value: value // 2))), wanted)


def test_numbers_are_all_defects() -> None:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[10:20, 10:20], values[30:40, 10:20], values[60:61, 5:90] = 1, 2, 3
    np.testing.assert_array_equal(defective_pixels(saved(Image.fromarray(values))), values > 0)
    spread = np.array([0, 40, 80, 240], np.uint8)[values]
    np.testing.assert_array_equal(defective_pixels(saved(Image.fromarray(spread)), numbered=True), values > 0)
    many = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    instances = np.where((many % WIDTH > 4) & (many % WIDTH < 150), many // WIDTH // 4, 0).astype(np.uint16)
    np.testing.assert_array_equal(
        defective_pixels(saved(Image.fromarray(instances)), numbered=True), instances > 0
    )


def test_void_is_no_defect() -> None:
    values = grey(15)
    values[48:50, 58:102] = values[80:82, 58:102] = 255
    image = Image.fromarray(values, "P")
    colours = [(0, 0, 0)] * 256
    colours[15], colours[255] = (0, 128, 128), (224, 224, 192)
    image.putpalette([value for colour in colours for value in colour])
    np.testing.assert_array_equal(defective_pixels(saved(image)), REGION)
    image.paste(0, (60, 50, 100, 80))
    with pytest.raises(ImageError, match="void pixels alone"):
        defective_pixels(saved(image))


EMPTY: dict[str, Callable[[], bytes]] = {
    "grey": lambda: saved(Image.new("L", (WIDTH, HEIGHT))),
    "JPEG": lambda: saved(Image.new("L", (WIDTH, HEIGHT)), "JPEG"),
    "palette": lambda: saved(Image.new("P", (WIDTH, HEIGHT))),
    "clear white": lambda: saved(Image.new("RGBA", (WIDTH, HEIGHT), (255, 255, 255, 0))),
    "clear black": lambda: saved(Image.new("RGBA", (WIDTH, HEIGHT))),
    "16 bits": lambda: tiff(np.zeros((HEIGHT, WIDTH), np.uint16)),
    "tifffile's bool": lambda: tiff(np.zeros((HEIGHT, WIDTH), np.uint8), bits=1, photometric=0),
    "pages": lambda: tiff(*[np.zeros((HEIGHT, WIDTH), np.uint8)] * 2),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_mask_is_empty(name: str) -> None:
    mask = defective_pixels(EMPTY[name]())
    assert mask.shape == (HEIGHT, WIDTH)
    assert not mask.any()


def noise(most: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, most + 1, (HEIGHT, WIDTH)).astype(np.uint8)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "inverted": (lambda: saved(Image.fromarray(255 - grey(255))), "seems inverted"),
    "inverted colours": (lambda: saved(painted(WHITE, (100, 0, 0), "RGB")), "seems inverted"),
    "red on white": (lambda: saved(painted(WHITE, (255, 0, 0), "RGB")), "all of it is marked"),
    "inverted JPEG": (lambda: saved(Image.fromarray(255 - grey(255)), "JPEG"), "seems inverted"),
    "inverted palette": (lambda: saved(palette(RED, BLACK).point(lambda i: 1 - i)), "seems inverted"),
    "all white": (lambda: saved(Image.new("L", (WIDTH, HEIGHT), 255)), "all of it is marked"),
    "classes from 1": (lambda: saved(Image.fromarray(grey(1) + 1)), "all of it is marked"),
    "all ones, white is zero": (
        lambda: tiff(np.ones((HEIGHT, WIDTH), np.uint8), bits=1, photometric=0),
        "stored as 1",
    ),
    "faint JPEG": (lambda: saved(Image.fromarray(noise(20)), "JPEG"), "none is above 31"),
    "wavering": (lambda: saved(Image.fromarray(noise(25))), "none is above 31"),
    "low fractions": (lambda: tiff(grey(1, np.float32) * 0.3), "no value of it is above 0.5"),
    "NaN": (lambda: tiff(np.full((HEIGHT, WIDTH), np.nan, np.float32)), "no finite numbers"),
    "below 0": (lambda: tiff(-grey(1, np.int16)), "values below 0"),
    "even areas": (
        lambda: saved(Image.fromarray(np.where(np.arange(WIDTH) < 20, 40, grey(240)).astype(np.uint8))),
        "even areas of the value 40",
    ),
    "clear colours": (lambda: saved(painted((*BLACK, 0), (*RED, 0), "RGBA")), "clear everywhere"),
    "pages of two sizes": (
        lambda: tiff(np.zeros((9, 9), np.uint8), np.zeros((9, 10), np.uint8)),
        "different sizes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_values_that_can_not_be_called_defects_are_refused(name: str) -> None:
    make, says = REFUSED[name]
    with pytest.raises(ImageError, match=says):
        defective_pixels(make())


def test_masks_are_read_by_path(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(ENCODINGS["red"]())
    np.testing.assert_array_equal(read_mask(str(tmp_path / "m.png")), REGION)
