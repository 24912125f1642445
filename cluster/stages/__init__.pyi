from .site import Site
from .stage import RECORD, Artifact, Workbench, digest, ensure

__all__ = ["RECORD", "Artifact", "Site", "Workbench", "digest", "ensure"]
