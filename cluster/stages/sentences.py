"""A stage's sentences about itself, each beside the pattern that reads it back from a log."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

StageState = Literal["running", "waiting", "done", "reused"]


def started(stage: str, uri: str) -> str:
    """Said when a stage is begun, with its directory."""
    return f"{stage}: started, into {uri}"


_STARTED = re.compile(r"(?P<stage>[\w-]+): started, into .*")


def done(stage: str, seconds: float, results: Mapping[str, Any]) -> str:
    """Said when a stage is complete, with its time and its scalar figures."""
    return f"{stage}: done in {seconds:.1f} s{summary(results)}"


def summary(results: Mapping[str, Any]) -> str:
    """The scalar figures of a stage as `: a 1, b 0.93`."""
    figures = {name: value for name, value in results.items() if isinstance(value, int | float | str)}
    parts = [
        f"{n.replace('_', ' ')} {v:.4g}" if isinstance(v, float) else f"{n.replace('_', ' ')} {v}"
        for n, v in figures.items()
    ]
    return f": {', '.join(parts)}" if parts else ""


_DONE = re.compile(r"(?P<stage>[\w-]+): done in (?P<seconds>[\d.]+) s(?:: (?P<figures>.*))?")


def reused(stage: str, uri: str) -> str:
    """Said when a stage was found complete, with its directory."""
    return f"{stage}: complete already, reusing {uri}"


_REUSED = re.compile(r"(?P<stage>[\w-]+): complete already, reusing .*")


def lost(stage: str) -> str:
    """Said when what a complete stage had left elsewhere than in its directory is there no more."""
    return f"{stage}: what it had made is there no more, or not whole; making it anew"


def waiting(stage: str, who: str) -> str:
    """Said when another run has claimed the stage; `who` describes that run."""
    return f"{stage}: another run makes it ({who}); waiting for it"


_WAITING = re.compile(r"(?P<stage>[\w-]+): another run makes it .*")


@dataclass(frozen=True)
class Said:
    """What a stage said.

    Attributes:
        stage: its name.
        state: `running`, `waiting` (another run makes it), `done` or `reused`.
        seconds: the time a finished stage took.
        figures: its counts, as it said them.
    """

    stage: str
    state: StageState
    seconds: float | None = None
    figures: str = ""


def parse_sentence(line: str) -> Said | None:
    """The sentence of a stage in a log's line; None for other lines."""
    if match := _DONE.fullmatch(line):
        return Said(match["stage"], "done", float(match["seconds"]), match["figures"] or "")
    patterns: tuple[tuple[re.Pattern[str], StageState], ...] = (
        (_STARTED, "running"),
        (_REUSED, "reused"),
        (_WAITING, "waiting"),
    )
    for pattern, state in patterns:
        if match := pattern.fullmatch(line):
            return Said(match["stage"], state)
    return None
