"""200 real strips there and back in every format: what comes back, and what the tools' own packages read."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.pre_annotations.trip import LAYOUT_OF, Found, Picture, boxes_table, read_back, there_and_back
from benchmarks.registry import SHARED_DATA, Row, at_most
from pipelines.labelling import FORMATS
from pipelines.layouts import LAYOUT_NAMES

TOOLS = "AGSSP_BENCH_LABELLING"
CHILD = Path(__file__).with_name("tools_child.py")
STRIPS, COUNT, HALF = SHARED_DATA / "neu_det" / "IMAGES", 200, 0.5


def run() -> Iterator[Row]:
    """The farthest side of a box in pixels, by format, as we read it and as the tools do."""
    if not STRIPS.is_dir():
        yield Row("strips there and back", None, f"skipped, {STRIPS} is absent")
        return
    files = sorted(STRIPS.iterdir())
    pictures = [Picture(path.name, *Image.open(path).size) for path in files[:: len(files) // COUNT][:COUNT]]
    table = boxes_table(STRIPS, pictures, seed=0)
    python = os.environ.get(TOOLS)
    for to in FORMATS:
        what = f"{len(pictures)} strips, {to}: pixels, read by"
        if LAYOUT_OF.get(to, to) in LAYOUT_NAMES:
            with tempfile.TemporaryDirectory() as folder:
                farthest = there_and_back(table, STRIPS, pictures, Path(folder), to, read_back)
            yield at_most(f"{what} agssp", round(farthest, 6), HALF)
        else:
            yield Row(f"{what} agssp", None, "skipped, there is no such layout")
        if not python:
            yield Row(f"{what} its tool", None, f"skipped, ${TOOLS} names no Python (make rivals)")
            continue
        with tempfile.TemporaryDirectory() as folder:
            read = partial(read_by_the_tool, python)
            farthest = there_and_back(table, STRIPS, pictures, Path(folder), to, read)
        yield at_most(f"{what} its tool", round(farthest, 6), HALF)


def read_by_the_tool(python: str, folder: Path, to: str, sizes: Mapping[str, tuple[int, int]]) -> Found:
    """The boxes that the tools' own packages read."""
    command = [python, str(CHILD), to, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return {name: [tuple(box) for box in boxes] for name, boxes in found.items()}  # type: ignore[misc]
