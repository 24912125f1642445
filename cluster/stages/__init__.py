"""content-keyed artifacts: claimed, made once, found again."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
