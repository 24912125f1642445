"""Hostile image files: each gives an `ImageError` with a reason, never another exception."""

import io
import os
import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from pipelines.images.reading import ImageError, decode_image, read_bytes, read_image, read_mask
from tests.repository import ROOT


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, pixels: bytes, *more: bytes) -> bytes:
    """A PNG of RGB pixels, however many of them there are; `more` chunks stand before them."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(more)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    """A valid PNG header of 60,000 × 60,000 pixels over a few bytes of data."""
    return png(60_000, 60_000, zlib.compress(b"\0" * 100))


def whole_bomb(width: int, height: int) -> bytes:
    """A PNG all of whose pixels are there, in a thousandth of their bytes."""
    packer, row = zlib.compressobj(9), b"\0" * (1 + 3 * width)
    return png(width, height, b"".join(packer.compress(row) for _ in range(height)) + packer.flush())


GOOD = encoded(Image.fromarray(np.arange(32 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 40, 3)))

TIFF = encoded(Image.new("RGB", (40, 32)), "TIFF")  # a header of 8 bytes, its fields, its pixels


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am text", "not an image"),
        (GOOD[: len(GOOD) // 2], "damaged"),
        (GOOD[:60], "damaged image: image file is truncated$"),
        (TIFF[:8], "damaged image: its field 256 is missing$"),
        (bomb(), "exceed the limit"),
        (encoded(Image.new("RGB", (4, 100))), "smaller than"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "not an image"),
    ],
)
def test_bad_files_have_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=reason):
        read_image(str(path))


READ = textwrap.dedent(
    """
    import resource, sys
    from pipelines.images import ImageError, read_image
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        told = str(read_image(sys.argv[1]).shape)
    except ImageError as error:
        told = str(error)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, told)
    """
)


def laden(kind: bytes) -> bytes:
    """A small PNG with 200 MiB of text or colour profile in it."""
    return png(32, 32, zlib.compress(b""), chunk(kind, b"a\0\0" + zlib.compress(b"a" * (200 << 20))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "mebibytes", "told"),
    [
        (partial(whole_bomb, 10_000, 10_001), 20, "exceed the limit"),
        (partial(whole_bomb, 10_000, 10_000), 1200, "(10000, 10000, 3)"),  # the largest: 286 MiB a copy
        (partial(laden, b"zTXt"), 80, ""),
        (partial(laden, b"iCCP"), 80, ""),
    ],
    ids=["pixels", "most pixels", "text", "profile"],
)
def test_a_bomb_never_fills_the_memory(
    tmp_path: Path, make: Callable[[], bytes], mebibytes: int, told: str
) -> None:
    """Read by a process of its own, whose peak tells what was unpacked."""
    path = tmp_path / "bomb.png"
    path.write_bytes(make())
    assert path.stat().st_size < 1 << 20
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    more, _, reason = done.stdout.partition(" ")
    assert told in reason
    assert int(more) < mebibytes


def test_missing_file_and_pipe(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="missing"):
        read_image(str(tmp_path / "none.png"))
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="regular file"):
        read_image(str(tmp_path / "pipe.png"))


def test_a_file_by_its_uri(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x" * 1025)
    uri = f"file://{tmp_path}/a.bin"
    assert read_bytes(uri, 1025) == b"x" * 1025
    with pytest.raises(ImageError, match="larger than 0 MiB"):
        read_bytes(uri, 1024)
    with pytest.raises(ImageError, match=r"^file is missing$"):
        read_bytes(uri + "x")
    (tmp_path / "a.bin").write_bytes(b"")
    assert read_bytes(uri, may_be_empty=True) == b""
    with pytest.raises(ImageError, match=r"^file is empty$"):
        read_bytes(uri)
    with pytest.raises(ImageError, match="can't be read"):
        read_bytes(f"file://{tmp_path}")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_damage_never_escapes(place: int, bytes_: bytes) -> None:
    damaged = GOOD[:place] + bytes_ + GOOD[place + len(bytes_) :]
    try:
        image = decode_image(damaged)
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3


def test_modes_become_rgb() -> None:
    grey16 = np.linspace(1000, 3000, 400).astype(np.uint16).reshape(20, 20)
    deep = decode_image(encoded(Image.fromarray(grey16)))
    assert (deep.shape, deep.min(), deep.max()) == ((20, 20, 3), 0, 255)
    clear = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    assert decode_image(encoded(clear)).max() == 0
    palette = Image.new("P", (10, 10), 3)
    assert decode_image(encoded(palette)).shape == (10, 10, 3)


def test_exif_orientation_is_applied() -> None:
    image = Image.fromarray(np.zeros((20, 40, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    assert decode_image(buffer.getvalue()).shape == (40, 20, 3)


def test_masks_are_cut_above_127(tmp_path: Path) -> None:
    values = np.array([[0, 127, 128, 255] * 2] * 8, np.uint8)
    Image.fromarray(values).save(tmp_path / "m.png")
    assert read_mask(str(tmp_path / "m.png"))[0].tolist() == [False, False, True, True] * 2
