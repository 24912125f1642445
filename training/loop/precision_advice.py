"""A line where another precision would suit the CPU that trains."""

import torch

from cluster.cpu_products import bf16_advice
from cluster.progress import say
from training.loop.section import Precision

LONG_S = 60.0  # shorter trainings aren't worth a word


def say_precision(precision: Precision, *, device: torch.device, title: str, left_s: float) -> None:
    """One line where another `loop.precision` would suit this CPU; none is taken by itself.

    Args:
        precision: the loop's.
        device: where it trains.
        title: the training's; its first word names the config's section.
        left_s: seconds that the training still takes.
    """
    if device.type != "cpu" or left_s < LONG_S:
        return
    gain = (
        "would take about two thirds of the time, and make other weights, no worse where it was measured "
        "(docs/howto/clusters.md)"
    )
    advice = bf16_advice(precision, "loop.precision", gain=gain, worth=True)
    if advice is not None:
        say(f"{title}: {advice}")
