"""memory banks of any encoder's features: backbones and their weights, distances, coresets."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
