"""Defects painted onto the user's own images: an exact box for each, without a label."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
