from .bootstrap import FEWEST_DRAWN, drawn_counts, interval, unanimous_interval
from .chance import auroc_interval, chance_level
from .settings import LEAST_GAIN, chosen_settings
from .starts import (
    FEWEST_BOXES,
    LEADING,
    Comparison,
    StartFigures,
    behind_another,
    best_start,
    compare_starts,
)
from .verdict import Verdict
from .zero import all_zero, finds_nothing

__all__ = [
    "FEWEST_BOXES",
    "FEWEST_DRAWN",
    "LEADING",
    "LEAST_GAIN",
    "Comparison",
    "StartFigures",
    "Verdict",
    "all_zero",
    "auroc_interval",
    "behind_another",
    "best_start",
    "chance_level",
    "chosen_settings",
    "compare_starts",
    "drawn_counts",
    "finds_nothing",
    "interval",
    "unanimous_interval",
]
