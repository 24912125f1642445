"""The state of a training: what a resumed run needs, as tensors, numbers and containers only."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from training.weights import StateDict

HistoryRow = dict[str, float]
State = dict[str, Any]


class Kept(NamedTuple):
    """Weights of one epoch; `value` is its `best_metric`, None for the last epoch."""

    epoch: int
    value: float | None
    weights: StateDict


@dataclass
class Progress:
    """What grows while training goes on.

    Attributes:
        epoch: the last one that ended; with `part`, the one that `part` belongs to.
        step: the optimizer's step, counted from the first epoch on.
        stopped: whether patience ran out.
        history: a row per epoch that ended.
        best: fields of `Kept`, the best first.
        part: the epoch amid which a state was taken: `steps` done, `sums` of the loss and its parts over
            them and all workers, `seconds` spent; else empty.
    """

    epoch: int = 0
    step: int = 0
    stopped: bool = False
    history: list[HistoryRow] = field(default_factory=list)
    best: list[dict[str, Any]] = field(default_factory=list)
    part: dict[str, Any] = field(default_factory=dict)


def weights_of(state: State) -> StateDict:
    """The weights that a training yields: the best epoch's, else the averaged, else the plain last ones."""
    best = state["progress"]["best"]
    weights: StateDict = best[0]["weights"] if best else last_weights(state)
    return weights


def last_weights(state: State) -> StateDict:
    """The weights after the last epoch, averaged if there is an EMA."""
    weights: StateDict = (state["ema"] or state)["model"]
    return weights


def kept_of(state: State) -> list[Kept]:
    """The best epochs by `best_metric`, best first, and after them the last one."""
    progress = state["progress"]
    last = Kept(progress["epoch"], None, last_weights(state))
    return [*(Kept(**entry) for entry in progress["best"]), last]


def finished(state: State, epochs: int) -> bool:
    """Whether a run of `epochs` epochs has nothing left to do after this state."""
    progress = Progress(**state["progress"])
    return progress.stopped or (progress.epoch >= epochs and not progress.part)


def copied(content: Any) -> Any:
    """The same nest of containers with every tensor copied to the CPU."""
    if isinstance(content, Tensor):
        return content.detach().to("cpu", copy=True)
    if isinstance(content, dict):
        return {key: copied(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [copied(value) for value in content]
    return content
