from .fit_result import FitResult
from .loop import train
from .optimiser import optimizer
from .reports import EpochReport, NonFiniteLoss
from .section import LoopSettings, ScalingSection
from .site import TrainingSite
from .state import Row, weights_of
from .task import Batch, SeededDataset, Task

__all__ = [
    "Batch",
    "EpochReport",
    "FitResult",
    "LoopSettings",
    "NonFiniteLoss",
    "Row",
    "ScalingSection",
    "SeededDataset",
    "Task",
    "TrainingSite",
    "optimizer",
    "train",
    "weights_of",
]
