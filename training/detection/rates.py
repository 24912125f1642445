"""The learning rate that a detector's kind wants, where a config names none."""

from typing import TypeVar

from training.loop import LoopSettings
from training.models import learns_by_queries

Loop = TypeVar("Loop", bound=LoopSettings)
QUERIES_LR = 1e-4  # of DETR's family; the rate at which the others learn drives its queries apart


def rated(loop: Loop, name: str | None) -> Loop:
    """The loop at the rate of a detector's kind, where it has none of its own.

    Args:
        loop: as it was written.
        name: the detector's name; None where it is at fault.
    """
    if name is None or "lr" in loop.model_fields_set or not learns_by_queries(name):
        return loop
    slower = loop.model_copy(update={"lr": QUERIES_LR})
    slower.model_fields_set.discard("lr")  # another name in its place takes that name's rate
    return slower
