"""20 photographs, 4 references: `agssp maps` and `agssp boxes` as whole processes, beside `import torch`."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks.registry import Row, at_least, at_most
from pipelines.surfaces import NORMAL, generate

BEFORE = "AGSSP_BENCH_BEFORE"  # the Python of another installation of agssp, e.g. an earlier release's
ROUNDS, TIMES_FASTER, TIMES_TORCH = 3, 6.0, 2.0
PHOTOGRAPHS, REFERENCES, SIDE = 20, 4, 320
COMMANDS = ("maps", "boxes")


def run() -> Iterator[Row]:
    """Medians of `ROUNDS` rounds; each runs every command once, so that a busy machine slows all alike."""
    other = os.environ.get(BEFORE)
    pythons = {"": sys.executable} if other is None else {"": sys.executable, "before ": other}
    # Console scripts, run in another folder, so that the working directory's sources don't come first.
    installations = {prefix: [str(Path(python).with_name("agssp"))] for prefix, python in pythons.items()}
    measured: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        photographs(Path(folder, "photos"))
        for _ in range(ROUNDS):
            measured.setdefault("torch", []).append(_seconds([sys.executable, "-c", "import torch"], folder))
            for prefix, installation in installations.items():
                workspace = Path(folder, f"{prefix.strip()}workspace")
                words = [f"workspace={workspace}", f"corpus.root={folder}/photos", "corpus.layout=folder"]
                shutil.rmtree(workspace, ignore_errors=True)
                _seconds([*installation, "corpus", *words], folder)
                for command in COMMANDS:
                    seconds = _seconds([*installation, command, *words], folder)
                    measured.setdefault(prefix + command, []).append(seconds)
    medians = {name: statistics.median(seconds) for name, seconds in measured.items()}
    yield Row("python -c 'import torch': seconds", medians["torch"])
    for command in COMMANDS:
        yield Row(f"agssp {command}: seconds", medians[command])
        yield at_most(
            f"agssp {command}: times import torch", medians[command] / medians["torch"], TIMES_TORCH
        )
    both = sum(medians[command] for command in COMMANDS)
    what = "both: how many times faster than before"
    if other is None:
        yield Row(what, None, f"{BEFORE} is not set")
        return
    for command in COMMANDS:
        yield Row(f"agssp {command}, before: seconds", medians[f"before {command}"])
    yield at_least(what, sum(medians[f"before {command}"] for command in COMMANDS) / both, TIMES_FASTER)


def photographs(folder: Path) -> None:
    """Generated surfaces as a user's folder has them, the references in `normal`."""
    (folder / "normal").mkdir(parents=True)
    for number in range(PHOTOGRAPHS + REFERENCES):
        normal = number < REFERENCES
        sample = generate(0, number, size=SIDE, category="steel_sheet", defect=NORMAL if normal else None)
        Image.fromarray(sample.image).save(folder / ("normal" if normal else "") / f"{number:02d}.png")


def _seconds(command: list[str], folder: str) -> float:
    begun = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.monotonic() - begun
