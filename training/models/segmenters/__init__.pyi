from .base import IGNORED, Segmenter, build_segmenter

__all__ = ["IGNORED", "Segmenter", "build_segmenter"]
