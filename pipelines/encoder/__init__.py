"""the vision-language encoder: loaded, opened by surgery, told what to look for."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
