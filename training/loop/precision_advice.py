"""A line where another precision would suit the CPU that trains."""

import torch

from cluster.cpu_products import bf16_products
from cluster.progress import say
from training.loop.section import Precision

LONG_S = 60.0  # shorter trainings aren't worth a word


def say_precision(precision: Precision, *, device: torch.device, title: str, left_s: float) -> None:
    """One line where another `loop.precision` would suit this CPU.

    The precision is never chosen by itself: it decides the weights, and their fingerprint must be the same on
    every machine that a training starts or goes on on.

    Args:
        precision: the loop's.
        device: where it trains.
        title: the training's; its first word names the config's section.
        left_s: seconds that the training still takes.
    """
    if device.type != "cpu" or left_s < LONG_S:
        return
    native = bool(bf16_products())
    if precision == "bf16" and not native:
        say(f"{title}: this CPU emulates products of bf16: loop.precision=fp32 is as fast or faster")
    if precision == "fp32" and native:
        say(
            f"{title}: this CPU has products of bf16: loop.precision=bf16 would take about two thirds of the "
            "time, and make other weights, no worse where it was measured (docs/howto/clusters.md)"
        )
