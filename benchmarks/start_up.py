"""How soon the command answers, in turn with `import torch`: wall time and peak memory of whole processes."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.registry import Row, at_most

BEFORE = "AGSSP_BENCH_BEFORE"  # the Python of another installation of agssp, e.g. an earlier release's
ROUNDS, SHARE, MEGABYTES = 7, 0.25, 250.0
TORCH = ["-c", "import torch"]
ANSWERS = {
    "agssp --help": (["--help"], 0),
    "agssp maps wrong.key=1": (["maps", "wrong.key=1"], 2),
    "agssp corpus corpus.root=missing": (["corpus", "corpus.root=missing"], 2),
}
Measured = dict[str, list[tuple[float, float]]]  # seconds and MB of each round


def run() -> Iterator[Row]:
    """Medians of `ROUNDS` rounds; each runs every command once, so that a busy machine slows all alike."""
    mine = [sys.executable, "-m", "agssp"]
    other = os.environ.get(BEFORE)
    measured: Measured = {}
    for turn in range(ROUNDS + 1):
        for name, command, code in _commands(mine, other):
            measurement = _measure(command, code)
            if turn:  # the first fills the machine's file cache
                measured.setdefault(name, []).append(measurement)
    torch_seconds = _seconds(measured, "torch")
    yield Row("python -c 'import torch': seconds", torch_seconds)
    for name in ANSWERS:
        yield Row(f"{name}: seconds", _seconds(measured, name))
        yield at_most(f"{name}: share of import torch", _seconds(measured, name) / torch_seconds, SHARE)
        yield at_most(f"{name}: MB at most", max(size for _, size in measured[name]), MEGABYTES)
        if other is None:
            yield Row(f"{name}: how many times faster than before", None, f"{BEFORE} is not set")
        else:
            before = _seconds(measured, f"before {name}")
            yield Row(f"{name}, before: seconds", before)
            yield Row(f"{name}: how many times faster than before", before / _seconds(measured, name))


def _commands(mine: list[str], other: str | None) -> Iterator[tuple[str, list[str], int]]:
    """Each command with its name and the exit code that it must have."""
    yield "torch", [sys.executable, *TORCH], 0
    for name, (words, code) in ANSWERS.items():
        yield name, [*mine, *words], code
        if other is not None:  # its console script, so that the working directory's sources don't come first
            yield f"before {name}", [str(Path(other).with_name("agssp")), *words], code


# A child's peak counts what its parent held when it was forked, so a small process starts and measures it.
LAUNCHER = """
import os, subprocess, sys, time
began = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.monotonic() - began, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
"""


def _measure(command: list[str], code: int) -> tuple[float, float]:
    """Wall seconds, and the process's own peak memory in MB; its exit code must be `code`."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    told = subprocess.run(launcher, capture_output=True, text=True, check=True).stdout.split()
    seconds, megabytes, ended = float(told[0]), float(told[1]), int(told[2])
    if ended != code:
        raise RuntimeError(f"{' '.join(command)} ended with {ended}, not {code}")
    return seconds, megabytes


def _seconds(measured: Measured, name: str) -> float:
    return statistics.median(seconds for seconds, _ in measured[name])
