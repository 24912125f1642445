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
        seconds: the time a finished stage took.
        figures: its counts, as it said them.
        step: progress of its present step.
    """

    stage: str
    state: StageState
    seconds: float | None = None
    figures: str = ""
    step: Standing | None = None


def standings(log: str) -> list[StageStanding]:
    """The stages that a job's log tells of, in the order they were started.

    Args:
        log: the job's log, whole or from some line on.
    """
    by_stage: dict[str, StageStanding] = {}
    current: str | None = None
    for line in log.splitlines():
        if len(line) > MAX_LINE:
            continue
        said = parse_sentence(line)
        if said is not None:
            by_stage[said.stage] = StageStanding(said.stage, said.state, said.seconds, said.figures)
            if said.state == "running":
                current = said.stage
        elif current in by_stage and by_stage[current].state == "running":
            step = Standing.parse(line)
            if step is not None:
                by_stage[current] = replace(by_stage[current], step=step)
    return list(by_stage.values())


def standings_json(stages: list[StageStanding]) -> list[Mapping[str, Any]]:
    """The same, JSON-able."""
    return [asdict(standing) for standing in stages]
