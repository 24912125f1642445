"""Our own Prometheus metrics, which every Ray node exports beside Ray's; without Ray they are not kept."""

import math
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from cluster.progress import Standing

if TYPE_CHECKING:  # Ray takes seconds to import
    from ray.util.metrics import Gauge

# Name (Ray exports it with `ray_` before it) → what it says, its labels.
METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "agssp_units_done": ("Images (rows, epochs) done of the running step.", ("step",)),
    "agssp_units_per_second": ("Images (rows, epochs) a second since the step's first.", ("step",)),
    "agssp_quarantined": ("Images that a stage could not use.", ("stage",)),
    "agssp_training": ("Figures of the last epoch: loss, images a second, mAP.", ("step", "figure")),
}


def record(name: str, value: float, **labels: str) -> None:
    """Set a gauge of `METRICS`; NaN, infinities and values before Ray is started are left out.

    Args:
        name: the gauge's name.
        value: the value to show from now on.
        labels: every label that `METRICS` names for it.
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized() and math.isfinite(value):
        _gauge(name).set(value, tags=labels)


def record_standing(standing: Standing) -> None:
    """How far a step is."""
    record("agssp_units_done", standing.done, step=standing.title)
    if standing.rate is not None:
        record("agssp_units_per_second", standing.rate, step=standing.title)


@lru_cache
def _gauge(name: str) -> "Gauge":
    from ray.util.metrics import Gauge

    description, labels = METRICS[name]
    return Gauge(name, description=description, tag_keys=labels)
