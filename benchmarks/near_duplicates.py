"""Near-duplicates found and missed, seconds and memory; with another installation beside it, in turn."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.registry import SHARED_DATA, Row, at_least, at_most
from benchmarks.start_up import BEFORE

LIMIT = 64
CODES, PLANTED = 100_000, 4_000
FRAMES = 5_000
SHEETS, GRAINS, SIDES = 15, (1.5, 2.0, 3.0), (256, 1024)
# A minute of one CPU is a minute at most on two, however busy the machine is.
FIGURES = (("CPU seconds", "cpu", 60.0), ("MB at most, libraries included", "mb", 1000.0))
Bits = npt.NDArray[np.bool_]

# Runs in either installation.
CHILD = """
import json, sys, time
from pathlib import Path
try:
    from pipelines.corpus.near_duplicates import near_links, near_pairs, perceptual_hash
except ModuleNotFoundError:  # where earlier builds had it
    from pipelines.near_duplicates import near_links, near_pairs, perceptual_hash
task, where, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
if task == "hash":
    from pipelines.images import decode_image
    answer = [perceptual_hash(decode_image(file.read_bytes())) for file in sorted(where.iterdir())]
else:
    hashes = where.read_text().split()
    near_pairs(hashes[:2], limit)
    began, cpu = time.monotonic(), time.process_time()
    if task == "pairs":
        pairs = [tuple(map(int, pair)) for block in near_pairs(hashes, limit) for pair in zip(*block)]
    else:
        links = near_links(hashes, limit)
        pairs = list(zip(links.first.tolist(), links.second.tolist(), links.distance.tolist()))
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    status = Path("/proc/self/status").read_text()  # its own peak; getrusage tells the parent's too
    mb = int(status.split("VmHWM:")[1].split()[0]) / 1024
    answer = {"seconds": seconds, "cpu": cpu, "mb": mb, "pairs": pairs}
print(json.dumps(answer))
"""


def run() -> Iterator[Row]:
    """Planted pairs, a standing camera's frames, smooth sheets saved as JPEG, and the magnetic tiles."""
    pythons = {"": sys.executable}
    if other := os.environ.get(BEFORE):
        pythons[", before"] = other
    else:
        yield Row("the same of another installation", None, f"{BEFORE} is not set")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        planted = _planted(work / "planted.txt")
        _frames(work / "frames.txt")
        for name, python in pythons.items():
            answer = _child(python, "pairs", work / "planted.txt")
            missed = len(planted - {(first, second) for first, second, _ in answer["pairs"]})
            what = f"{CODES:,} hashes, {PLANTED:,} pairs of 8–64 bits planted{name}"
            yield Row(f"{what}: missed", missed) if name else at_most(f"{what}: missed", missed, 0)
            for figure, key, most in FIGURES:
                value = answer[key]
                yield Row(f"{what}: {figure}", value) if name else at_most(f"{what}: {figure}", value, most)
            yield Row(f"{what}: seconds", answer["seconds"])
        for name, python in pythons.items():
            answer = _child(python, "links", work / "frames.txt")
            for figure, key, _ in FIGURES:
                yield Row(f"{FRAMES:,} frames, any two near{name}: {figure}", answer[key])
        yield from _sheets(work, pythons)
        yield from _tiles(pythons)


def _planted(file: Path) -> set[tuple[int, int]]:
    """Random hashes, and pairs among them that differ in 8 to 64 bits anywhere."""
    rng = np.random.default_rng(64)
    bits = rng.random((CODES, 256)) < 0.5
    places = rng.permutation(CODES)[: 2 * PLANTED].reshape(-1, 2)
    for number, (first, second) in enumerate(places):
        bits[second] = bits[first]
        bits[second, rng.permutation(256)[: 8 + number % 57]] ^= True
    _write(file, bits)
    return {(int(min(pair)), int(max(pair))) for pair in places}


def _frames(file: Path) -> None:
    """Hashes of one scene: each bit is another one in 20."""
    rng = np.random.default_rng(65)
    _write(file, (rng.random(256) < 0.5) ^ (rng.random((FRAMES, 256)) < 0.05))


def _sheets(work: Path, pythons: dict[str, str]) -> Iterator[Row]:
    """Smooth sheets and the same saved as JPEG of quality 90: pairs that are found, and false ones."""
    import cv2

    for side in SIDES:
        for grain in GRAINS:
            folder = work / f"{side}_{grain}"
            folder.mkdir()
            for number in range(SHEETS):
                levels = np.random.default_rng(number).normal(140, grain, (side, side))
                sheet = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"{number:02}a.png"), sheet)
                cv2.imwrite(str(folder / f"{number:02}b.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 90])
            for name, python in pythons.items():
                hashes = work / "sheets.txt"
                hashes.write_text("\n".join(_child(python, "hash", folder)))
                pairs = {(a, b) for a, b, _ in _child(python, "pairs", hashes)["pairs"]}
                true = sum(a % 2 == 0 and b == a + 1 for a, b in pairs)
                what = f"{SHEETS} sheets, grain {grain}, {side} px, as JPEG{name}"
                yield Row(f"{what}: found", true) if name else at_least(f"{what}: found", true, SHEETS)
                yield Row(f"{what}: pairs of different sheets", len(pairs) - true)


def _tiles(pythons: dict[str, str]) -> Iterator[Row]:
    """The magnetic tiles by each installation's own hashes: pairs within the limit, and those missed."""
    folder = SHARED_DATA / "magnetic_tile"
    if not folder.is_dir():
        yield Row("magnetic tiles", None, f"{folder} is not there")
        return
    with tempfile.TemporaryDirectory() as place:
        images = Path(place) / "images"
        images.mkdir()
        for file in sorted(folder.rglob("*.jpg")):
            (images / file.name).symlink_to(file)
        for name, python in pythons.items():
            hashes = Path(place) / "hashes.txt"
            codes = _child(python, "hash", images)
            hashes.write_text("\n".join(codes))
            signs = 1 - 2 * np.stack(
                [np.unpackbits(np.frombuffer(bytes.fromhex(code), np.uint8)) for code in codes]
            ).astype(np.float32)
            near = np.triu(signs @ signs.T >= 256 - 2 * LIMIT, 1)  # exact: sums of 256 signs
            told = {(first, second) for first, second, _ in _child(python, "pairs", hashes)["pairs"]}
            missed = len({(int(a), int(b)) for a, b in np.argwhere(near)} - told)
            what = f"{len(codes):,} magnetic tiles{name}"
            yield Row(f"{what}: pairs within {LIMIT} bits", int(near.sum()))
            yield Row(f"{what}: missed", missed) if name else at_most(f"{what}: missed", missed, 0)


def _write(file: Path, bits: Bits) -> None:
    file.write_text("\n".join(row.tobytes().hex() for row in np.packbits(bits, axis=1)))


def _child(python: str, task: str, where: Path) -> Any:
    """What `CHILD` printed, run from an empty folder so that this one's sources don't come first."""
    with tempfile.TemporaryDirectory() as empty:
        command = [python, "-c", CHILD, task, str(where), str(LIMIT)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=empty)
    return json.loads(done.stdout.splitlines()[-1])
