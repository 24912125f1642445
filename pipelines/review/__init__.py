"""`agssp view`: stored maps browsed, thresholds tried, images, boxes and references accepted or rejected."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
