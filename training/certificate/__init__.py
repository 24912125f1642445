"""`agssp certify`: what a registered detector finds, and what of it is proven, on one page."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
