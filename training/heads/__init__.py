"""Training of the heads of map methods: on painted defects without a label, or on labelled images."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
