"""`agssp next`: which images to label first, by maps, diversity and disagreement."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
