"""boxes written for labelling tools and training loaders, one file a format."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
