"""Heads: small trained layers that make anomaly maps of a frozen encoder's features, and their files."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
