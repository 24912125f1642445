from .coreset import farthest, thinned
from .features import Backbone
from .matching import joined, mutual, nearest, on_grid, views
from .section import CLIP, LITE0, BankSection, FeatureSettings
from .weights import bank_digest, bank_findings

__all__ = [
    "CLIP",
    "LITE0",
    "Backbone",
    "BankSection",
    "FeatureSettings",
    "bank_digest",
    "bank_findings",
    "farthest",
    "joined",
    "mutual",
    "nearest",
    "on_grid",
    "thinned",
    "views",
]
