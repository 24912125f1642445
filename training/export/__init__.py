"""what leaves the house: ONNX, the library's own file, the registry."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
