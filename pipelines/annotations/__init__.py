"""Annotation formats, one file each: they turn an annotation into boxes and a mask."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
