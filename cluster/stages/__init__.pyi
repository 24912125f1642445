from .claim import claimed
from .sentences import StageState, parse_sentence
from .site import Site
from .stage import RECORD, Artifact, Workbench, digest, ensure, versions

__all__ = [
    "RECORD",
    "Artifact",
    "Site",
    "StageState",
    "Workbench",
    "claimed",
    "digest",
    "ensure",
    "parse_sentence",
    "versions",
]
