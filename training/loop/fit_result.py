"""What a training leaves, wherever it ran."""

import time
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cluster.storage import Storage
from training.loop.reports import NonFiniteLoss
from training.loop.state import HistoryRow, Kept, State, kept_of, weights_of
from training.weights import StateDict

NONFINITE_FILE = "nonfinite-loss.json"


@dataclass(frozen=True)
class FitResult:
    """A training's end.

    Attributes:
        state_dict, history: see `training.loop.loop.Trained`.
        task_state: what `Task.state` gave at the end, e.g. λ.
        seconds: wall time, start of workers included.
        kept: the `keep_best` best epochs, best first, and the last one.
    """

    state_dict: StateDict
    history: list[HistoryRow]
    task_state: dict[str, Any]
    seconds: float
    kept: list[Kept]

    @classmethod
    def of(cls, state: State, start: float) -> "FitResult":
        """From the last state of a training that began at `start` by `time.monotonic`."""
        return cls(
            state_dict=weights_of(state),
            history=state["progress"]["history"],
            task_state=state["task"],
            seconds=time.monotonic() - start,
            kept=kept_of(state),
        )

    def table(self) -> pa.Table:
        """The history as columns; a value that an epoch lacks is null."""
        names = list(dict.fromkeys(name for row in self.history for name in row))
        return pa.table({name: [row.get(name) for row in self.history] for name in names})


def told(error: NonFiniteLoss, directory: Storage) -> NonFiniteLoss:
    """The error naming `nonfinite-loss.json`, which this writes: the reason and all images of the batch."""
    directory.write_json(NONFINITE_FILE, {"reason": error.args[0], "image_ids": error.image_ids})
    return NonFiniteLoss(f"{error.args[0]}, see {directory.uri}/{NONFINITE_FILE}", error.image_ids)


def note(row: HistoryRow) -> str:
    """What is shown beside the progress bar."""
    return f"loss {row['loss']:.4f}" if "loss" in row else ""
