"""Where a job is, read from its log: stages done, the one that runs, its throughput and time left."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from cluster.progress import Standing

# What `cluster.stages.ensure` says.
STARTED = re.compile(r"(?P<stage>[\w-]+): started, into .*")
DONE = re.compile(r"(?P<stage>[\w-]+): done in (?P<seconds>[\d.]+) s(?:: (?P<figures>.*))?")
REUSED = re.compile(r"(?P<stage>[\w-]+): complete already, reusing .*")
WAITING = re.compile(r"(?P<stage>[\w-]+): another run makes it .*")
MAX_LINE = 2000  # characters; ours are shorter


@dataclass(frozen=True)
class StageStanding:
    """One stage of a job.

    Attributes:
        stage: its name.
        state: `running`, `waiting` (another run makes it), `done` or `reused`.
        seconds: of a stage that is done.
        figures: what it counted, as it said.
        step: how far its present step is.
    """

    stage: str
    state: str
    seconds: float | None = None
    figures: str = ""
    step: Standing | None = None


def standings(log: str) -> list[StageStanding]:
    """The stages that a job's log tells of, in the order they were started.

    Args:
        log: of the job, whole or from some line on.
    """
    found: dict[str, StageStanding] = {}
    current: str | None = None
    for line in log.splitlines():
        if len(line) > MAX_LINE:
            continue
        if match := STARTED.fullmatch(line):
            current = match["stage"]
            found[current] = StageStanding(current, "running")
        elif match := DONE.fullmatch(line):
            found[match["stage"]] = StageStanding(
                match["stage"], "done", float(match["seconds"]), match["figures"] or ""
            )
        elif match := REUSED.fullmatch(line):
            found[match["stage"]] = StageStanding(match["stage"], "reused")
        elif match := WAITING.fullmatch(line):
            found[match["stage"]] = StageStanding(match["stage"], "waiting")
        elif current in found and found[current].state == "running":
            step = Standing.parse(line)
            if step is not None:
                found[current] = replace(found[current], step=step)
    return list(found.values())


def standings_json(found: list[StageStanding]) -> list[Mapping[str, Any]]:
    """The same, JSON-able."""
    return [asdict(standing) for standing in found]
