from .fit_result import FitResult
from .loop import train
from .optimiser import optimizer
from .reports import EpochReport, NonFiniteLoss
from .section import LoopSettings, ScalingSection
from .state import HistoryRow, weights_of
from .task import Batch, SeededDataset, Task

__all__ = [
    "Batch",
    "EpochReport",
    "FitResult",
    "HistoryRow",
    "LoopSettings",
    "NonFiniteLoss",
    "ScalingSection",
    "SeededDataset",
    "Task",
    "optimizer",
    "train",
    "weights_of",
]
