"""Where a job is, read from its log: stages done, the one that runs, its throughput and time left."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from cluster.progress import Standing
from cluster.stages import StageState, parse_sentence

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
    state: StageState
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
        said = parse_sentence(line)
        if said is not None:
            found[said.stage] = StageStanding(said.stage, said.state, said.seconds, said.figures)
            if said.state == "running":
                current = said.stage
        elif current in found and found[current].state == "running":
            step = Standing.parse(line)
            if step is not None:
                found[current] = replace(found[current], step=step)
    return list(found.values())


def standings_json(found: list[StageStanding]) -> list[Mapping[str, Any]]:
    """The same, JSON-able."""
    return [asdict(standing) for standing in found]
