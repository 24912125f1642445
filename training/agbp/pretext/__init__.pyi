from .alone import DistillationAlone
from .base import Pretext, PretextOutput
from .building import build_pretext, pretext_names

__all__ = ["DistillationAlone", "Pretext", "PretextOutput", "build_pretext", "pretext_names"]
