from .stage import RECORD, Artifact, Workbench, digest, ensure

__all__ = ["RECORD", "Artifact", "Workbench", "digest", "ensure"]
