"""What the training loop reports while it runs and when it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from training.loop.state import HistoryRow, State
from training.weights import StateDict


class NonFiniteLoss(RuntimeError):  # noqa: N818 (the field's name)
    """The loss, or the norm of its gradient, became NaN or infinite.

    Attributes:
        image_ids: ids of the images in the batch that did it; with accumulation, in the part.
    """

    def __init__(self, message: str, image_ids: list[str]) -> None:
        super().__init__(message, image_ids)
        self.image_ids = image_ids

    def __str__(self) -> str:
        ids = ", ".join(self.image_ids[:8]) + (", …" if len(self.image_ids) > 8 else "")
        return f"{self.args[0]} (images: {ids})"


class StepReport(NamedTuple):
    """Where an epoch stands: steps done of those it has, the last loss, images/s (all workers) so far."""

    epoch: int
    step: int
    steps: int
    loss: float
    images_per_s: float

    def text(self) -> str:
        """What is shown beside the progress bar."""
        return (
            f"epoch {self.epoch}: {self.step}/{self.steps} steps, {self.images_per_s:.3g} images/s, "
            f"loss {self.loss:.4f}"
        )


@dataclass(frozen=True)
class Notice:
    """How a training learns that it will soon lose a machine, and what it then does.

    Attributes:
        given: whether there is a notice; asked after the same steps on every rank, with the same answer.
        save: called on rank 0, with the epoch and a state taken amid it.
    """

    given: Callable[[], bool]
    save: Callable[[int, State], None]


@dataclass(frozen=True)
class EpochReport:
    """What is known after an epoch.

    Attributes:
        epoch: 0 for the evaluation before training, else counted from 1.
        epochs: number planned in all.
        row: this epoch's line of the history.
        due: whether a checkpoint is to be kept.
        state: if due, on rank 0, what a resumed run needs: tensors, numbers and containers only.
    """

    epoch: int
    epochs: int
    row: HistoryRow
    due: bool
    state: State | None


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        weights: state dict of the best epoch by `best_metric`, or of the last; averaged if there is an EMA.
        history: a row per epoch: `epoch`, `step`, `lr`, `loss` and `loss_<part>` (means over the epoch),
            metrics where evaluated, `images_per_s` (all workers), `seconds`.
    """

    weights: StateDict
    history: list[HistoryRow]
