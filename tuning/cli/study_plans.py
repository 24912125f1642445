"""A declared study's plan in a terminal: what runs, and the rest by what it lacks."""

from collections.abc import Iterable, Mapping
from typing import Any

from cluster.cli.command import out
from tuning.pace import about

Cells = list[Mapping[str, Any]]
LACKING = {
    "images": "images, their references or prompts",
    "weights": "weights",
    "model": "a model: a package that has it, or its size in the preset",
    "settings": "settings that fit together",
}


def render_plan(result: Mapping[str, Any]) -> None:
    """Print what would be run, for a person."""
    from rich.text import Text

    for line in plan_lines(result):
        out.print(Text(line), soft_wrap=True)


def plan_lines(result: Mapping[str, Any]) -> list[str]:
    """The cells that run, then those that don't by what they lack; a GPU, downloads and time of all."""
    cells: Cells = result["cells"]
    runs = [cell for cell in cells if not cell["lacks"]]
    rows = {tuple(cell["names"]) for cell in cells}
    lines = [f"{result['title']}: {len(runs)} of {len(cells)} cells can be run"]
    lines += [f"  {line}: runs" for line in _named(runs, set())]
    for kind, words in LACKING.items():
        whats = [lack["what"] for cell in cells for lack in cell["lacks"] if lack["kind"] == kind]
        lacking = [cell for cell in cells if any(lack["kind"] == kind for lack in cell["lacks"])]
        if lacking:
            lines.append(f"Lacking {words}: {_count(lacking)}")
        for what in dict.fromkeys(whats):
            lines.append(f"  needs: {what}")
            those = [cell for cell in lacking if any(lack["what"] == what for lack in cell["lacks"])]
            lines += [f"    {line}" for line in _named(those, rows)]
    lines += _asked(result)
    lines += told_cost(result)
    return [
        *lines,
        "Weights that a start names are read when it runs; a file that is not there is said here.",
    ]


def _asked(result: Mapping[str, Any]) -> list[str]:
    """What is no fault: a GPU and downloads."""
    cells: Cells = result["cells"]
    lines = []
    if large := [cell for cell in cells if cell["large_step"]]:
        steps = ", ".join(dict.fromkeys(cell["large_step"] for cell in large))
        here = "there is one here" if result["gpu"] else "there is none here"
        lines.append(f"For a GPU ({here}): {_count(large)}, with steps of {steps}.")
    names = list(dict.fromkeys(name for cell in cells for name in cell["downloads"]))
    if names:
        lines.append(f"Downloaded on first use, unless they are there: {', '.join(names)}.")
    return lines


def _count(cells: Cells) -> str:
    return "1 cell" if len(cells) == 1 else f"{len(cells)} cells"


def _named(cells: Cells, rows: set[tuple[str, ...]]) -> Iterable[str]:
    """Cells in words, their seeds in one line; where a data set has all of `rows`, in one line too."""
    seeds: dict[str, dict[tuple[str, ...], list[str]]] = {}
    words: dict[tuple[str, ...], str] = {}
    for cell in cells:
        names = tuple(cell["names"])
        words[names] = ", ".join(f"{key}: {name}" for key, name in cell["settings"].items() if name != "-")
        seeds.setdefault(cell["dataset"], {}).setdefault(names, []).append(str(cell["seed"]))
    for dataset, by_row in seeds.items():
        groups: dict[tuple[str, ...], list[str]] = {}
        for names, numbers in by_row.items():
            groups.setdefault(tuple(numbers), []).append(words[names])
        for same, named in groups.items():
            what = f"{dataset}, seed{'s' if len(same) > 1 else ''} {', '.join(same)}"
            every = len(named) == len(rows) > 1
            for name in [f"all {len(rows)} rows"] if every else named:
                yield f"{name} | {what}"


def told_cost(result: Mapping[str, Any]) -> list[str]:
    """The trainings of a plan and their time, in words."""
    counts = result["trainings"]
    total = sum(counts.values())
    if not total:
        return ["Nothing to train."]
    parts = ", ".join(f"{count} × {stage}" for stage, count in counts.items() if count)
    lines = [
        f"{total} trainings: {parts}; finished ones are found again, and a pretraining serves all its cells."
    ]
    timed, estimated = result["timed"], result["estimated"]
    left = total - timed - estimated
    if timed:
        which = "" if timed == total else f" for {timed} of them"
        lines.append(
            f"About {about(result['seconds'])}{which}, by the epochs of finished trainings of the same "
            "models in this workspace; anomaly maps and evaluation come on top, early stopping takes off."
        )
    if estimated:
        which = "" if estimated == total else f" for {estimated} of them"
        lines.append(
            f"About {about(result['estimated_seconds'])}{which} on one quiet CPU core (here are "
            f"{result['cores']}), by the pace of such models on another machine; anomaly maps and evaluation "
            "come on top, a GPU is many times faster. What is finished here is told by its own time."
        )
    if left:
        which = "Time: not known" if left == total else f"Not known for {left} of them"
        lines.append(f"{which} before a training of these models is finished in this workspace.")
    return lines
