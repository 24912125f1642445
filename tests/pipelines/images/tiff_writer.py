"""TIFF written out by hand (TIFF 6.0): any type of number, any page, without a library."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
KINDS = {"u": UNSIGNED, "b": UNSIGNED, "i": SIGNED, "f": FLOAT}


def packed(values: npt.NDArray[Any], bits: int) -> bytes:
    """Rows of whole numbers of so many bits, the highest first, each row filled up to a byte."""
    rows = []
    for row in values.reshape(len(values), -1):
        text = "".join(format(int(value), f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)))
    return b"".join(rows)


def tiff(*pages: npt.NDArray[Any], bits: int | None = None, order: str = "<", **fields: Any) -> bytes:
    """A TIFF of pages (H, W) or (H, W, samples), each plane a strip.

    Args:
        pages: values of each page.
        bits: bits of a sample where they are packed; else the type's own.
        order: `<` or `>`, the order of bytes.
        fields: `photometric`, `extra` (ExtraSamples), `orientation`, `subfile` (one number, or one a page),
            `nodata` (GDAL_NODATA, as text), `deflated` (whether it is packed), `planar` (2: each sample a
            plane).
    """
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 0))
    link = 4
    for number, page in enumerate(pages):
        planar = fields.get("planar", 1)
        strips, sizes = [], []
        for plane in list(np.moveaxis(page, 2, 0)) if planar == 2 else [page]:
            kind = np.dtype(f"{order}{page.dtype.str[1:]}")
            data = packed(plane, bits) if bits else plane.astype(kind).tobytes()
            data = zlib.compress(data) if fields.get("deflated") else data
            strips.append(len(out))
            sizes.append(len(data))
            out += data + b"\0" * (len(data) % 2)
        samples = 1 if page.ndim == 2 else page.shape[2]
        subfile = fields.get("subfile", 0)
        entries: list[tuple[int, int, Sequence[int] | bytes]] = [
            (254, 4, [subfile[number] if isinstance(subfile, tuple) else subfile]),
            (256, 4, [page.shape[1]]),
            (257, 4, [page.shape[0]]),
            (258, 3, [bits or page.dtype.itemsize * 8] * samples),
            (259, 3, [8 if fields.get("deflated") else 1]),
            (262, 3, [fields.get("photometric", 2 if samples >= 3 else 1)]),
            (273, 4, strips),
            (274, 3, [fields.get("orientation", 1)]),
            (277, 3, [samples]),
            (278, 4, [page.shape[0]]),
            (279, 4, sizes),
            (284, 3, [planar]),
            *([(338, 3, [fields["extra"]])] if "extra" in fields else []),
            (339, 3, [KINDS[page.dtype.kind]] * samples),
            *([(42113, 2, fields["nodata"].encode() + b"\0")] if "nodata" in fields else []),
        ]
        rows = b""
        for tag, form, values in entries:
            if isinstance(values, bytes):
                body = values
            else:
                body = struct.pack(f"{order}{len(values)}{'HI'[form == 4]}", *values)
            count = len(values)
            if len(body) > 4:
                place = struct.pack(f"{order}I", len(out))
                out += body + b"\0" * (len(body) % 2)
            else:
                place = body.ljust(4, b"\0")
            rows += struct.pack(f"{order}HHI", tag, form, count) + place
        out[link : link + 4] = struct.pack(f"{order}I", len(out))
        out += struct.pack(f"{order}H", len(entries)) + rows
        link = len(out)
        out += b"\0\0\0\0"
    return bytes(out)
