from .files import HISTORY_FILE, START_FILE
from .fit_result import FitResult
from .loop import train
from .optimiser import optimizer
from .reports import EpochReport, NonFiniteLoss
from .section import LoopSettings, Precision, ScalingSection
from .site import TrainingSite
from .stage_training import trained
from .state import HistoryRow, weights_of
from .task import Batch, SeededDataset, Task

__all__ = [
    "HISTORY_FILE",
    "START_FILE",
    "Batch",
    "EpochReport",
    "FitResult",
    "HistoryRow",
    "LoopSettings",
    "NonFiniteLoss",
    "Precision",
    "ScalingSection",
    "SeededDataset",
    "Task",
    "TrainingSite",
    "optimizer",
    "train",
    "trained",
    "weights_of",
]
