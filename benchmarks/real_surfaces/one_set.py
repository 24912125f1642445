"""Every comparison of the proof on one data set, in a process of its own: `python -m ….one_set NAME`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.real_surfaces.lightly import lightly_python
from benchmarks.real_surfaces.made_starts import made_starts
from benchmarks.real_surfaces.settings import Settings, read_settings, workspace
from cluster.errors import UserError
from tuning.gain import SetResult, run_gain


def compare(settings: Settings, name: str, folder: Path, python: str | None) -> Iterator[SetResult]:
    """The result of each comparison, or of what of it was run before.

    Args:
        settings: the proof's settings.
        name: the data set.
        folder: workspace; data sets may share it at the same time.
        python: the Python that has lightly-train; None leaves the rival out.

    Raises:
        UserError: a setting or the data are at fault.
    """
    for comparison in settings.comparisons.values():
        section = settings.section(comparison)
        if section is not None:
            sets = settings.sets(comparison, section, [name], folder)
            yield from run_gain(settings.preset, settings.summary, section, sets).sets
    if settings.beside is None or (section := settings.section(settings.beside)) is None:
        return
    (data,) = settings.sets(settings.beside, section, [name], folder)
    starts = made_starts(settings, section, data, folder / "images", python)
    alone = section.model_copy(update={"starts": starts, "sources": ()})
    yield from run_gain(settings.preset, settings.summary, alone, [data]).sets


def main(name: str) -> int:
    """Run; 0 when all is done, 2 for a user's fault."""
    try:
        for _ in compare(read_settings(), name, workspace(), lightly_python()):
            pass
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
