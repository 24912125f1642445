"""Dataset layouts, one file each: what a folder of images means, as it was published."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
