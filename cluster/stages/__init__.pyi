from .sentences import StageState, parse_sentence
from .stage import RECORD, Artifact, Workbench, digest, ensure

__all__ = ["RECORD", "Artifact", "StageState", "Workbench", "digest", "ensure", "parse_sentence"]
