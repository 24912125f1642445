from .choice import ThresholdSearch
from .curves import Curves, threshold_curves
from .judged_maps import read_stored_maps
from .metrics import MASK_IOU
from .objective import ThresholdObjective
from .picture import threshold_picture
from .rule import check_rule
from .search import default_space
from .stage import check_request, tune_thresholds

__all__ = [
    "MASK_IOU",
    "Curves",
    "ThresholdObjective",
    "ThresholdSearch",
    "check_request",
    "check_rule",
    "default_space",
    "read_stored_maps",
    "threshold_curves",
    "threshold_picture",
    "tune_thresholds",
]
