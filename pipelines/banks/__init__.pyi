from .coreset import farthest, thinned
from .features import Backbone
from .matching import joined, mutual, nearest, on_grid, views
from .section import CLIP, LITE0, BankSection, FeatureSettings
from .weights import LITE0_NAME, LITE0_PACKAGE, bank_digest, bank_findings, has_lite0, lite0_file, lite0_state

__all__ = [
    "CLIP",
    "LITE0",
    "LITE0_NAME",
    "LITE0_PACKAGE",
    "Backbone",
    "BankSection",
    "FeatureSettings",
    "bank_digest",
    "bank_findings",
    "farthest",
    "has_lite0",
    "joined",
    "lite0_file",
    "lite0_state",
    "mutual",
    "nearest",
    "on_grid",
    "thinned",
    "views",
]
