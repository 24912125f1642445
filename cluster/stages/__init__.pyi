from .claim import claimed
from .sentences import StageState, parse_sentence
from .site import Site
from .stage import RECORD, Artifact, Workbench, digest, ensure, list_digest, versions

__all__ = [
    "RECORD",
    "Artifact",
    "Site",
    "StageState",
    "Workbench",
    "claimed",
    "digest",
    "ensure",
    "list_digest",
    "parse_sentence",
    "versions",
]
