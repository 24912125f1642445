"""The benchmark `real_surfaces`: `agssp study gain` on real images, data sets side by side, and its table."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.real_surfaces.lightly import MISSING, lightly_python
from benchmarks.real_surfaces.one_set import compare
from benchmarks.real_surfaces.settings import read_settings, workspace
from benchmarks.real_surfaces.table import PICTURE, joined, mean_gains, whole_table
from benchmarks.registry import Row
from cluster.errors import UserError
from cluster.on_ray import machine_cpus
from cluster.progress import say
from tuning.gain import arm_name, gain_picture

NAME = "real_surfaces"
TOLD = 3  # last lines of a child that failed


def run() -> Iterator[Row]:
    """Each arm's gain on each data set, then the means; `real_surfaces.md` and `real_surfaces.svg`."""
    settings, folder, python = read_settings(), workspace(), lightly_python()
    for name in settings.data:
        if name not in settings.present:
            yield Row(f"{name}: mAP@0.5", None, f"skipped, {settings.root(name)} is absent")
    if not settings.present:
        return
    if not settings.coco_file.is_file():
        yield Row("starts from COCO weights: mAP@0.5", None, f"skipped, {settings.coco_file} is absent")
    if settings.beside is not None and python is None:
        yield Row("lightly-train: mAP@0.5", None, MISSING)
    sections = [settings.section(each) for each in settings.comparisons.values()]
    section = next((each for each in sections if each is not None), None)
    if section is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    make_all(settings.present)
    # All trainings are there: this finds them.
    sets = [joined(list(compare(settings, name, folder, python))) for name in settings.present]
    (folder / f"{NAME}.md").write_text(whole_table(sets, section, settings.preset, settings.summary))
    (folder / PICTURE).write_bytes(gain_picture(sets, section))
    unit = "points of mAP@0.5" if section.metric == "map50" else "points of mAP@0.5:0.95"
    for data in sets:
        for arm in data.arms:
            if arm.paired and (gain := data.gain(arm, section.metric)) is not None:
                what = f"{data.name}, {arm.labels} labels, {arm.epochs} epochs, {arm_name(arm)}: {unit}"
                yield Row(what, 100 * gain.mean)
    for (arm, over), (columns, gain) in mean_gains(sets, section.metric).items():
        what = f"{arm_name(arm)} less {arm_name(over)}, {arm.epochs} epochs, {columns} columns: {unit}"
        low = None if gain.interval is None else gain.interval[0]
        goal = "" if low is None else f"> 0 by its interval from {100 * low:+.1f}"
        yield Row(what, 100 * gain.mean, goal, None if low is None or arm.is_ceiling else low > 0)


def make_all(names: Sequence[str]) -> None:
    """Make every training, data sets in processes of their own that share the cores.

    Args:
        names: data sets.

    Raises:
        UserError: one failed; the end of its output.
    """
    threads = max(1, machine_cpus() // len(names))
    with ThreadPoolExecutor(len(names)) as pool:
        for failure in pool.map(lambda name: _make(name, threads), names):
            if failure is not None:
                raise UserError(failure)


def _make(name: str, threads: int) -> str | None:
    """Run one data set, its lines told under its name; what went wrong, if anything."""
    command = [sys.executable, "-m", "benchmarks.real_surfaces.one_set", name]
    child = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )
    assert child.stderr is not None
    last: list[str] = []
    for line in child.stderr:
        say(f"{name}: {line.rstrip()}")
        last = [*last, line.rstrip()][-TOLD:]
    code = child.wait()
    return f"{name} ended with {code}: {' '.join(last)}" if code else None
