from .adaptation import check_adaptable, merged
from .cropping import Window
from .data import DenseSample, dense_samples
from .modality import dead_leaves, feature_shift, pooled_features
from .model import Colours, save_dense, started_dense
from .section import CropSection, DenseTask, LoraSection, Regime, check_dense_name
from .task import METRIC, DensePlan, build_dense_task

__all__ = [
    "METRIC",
    "Colours",
    "CropSection",
    "DensePlan",
    "DenseSample",
    "DenseTask",
    "LoraSection",
    "Regime",
    "Window",
    "build_dense_task",
    "check_adaptable",
    "check_dense_name",
    "dead_leaves",
    "dense_samples",
    "feature_shift",
    "merged",
    "pooled_features",
    "save_dense",
    "started_dense",
]
