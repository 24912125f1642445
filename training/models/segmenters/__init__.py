"""Segmenters by name; a new library is one adapter file that registers its names."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
