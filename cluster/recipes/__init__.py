"""The shipped recipes: whole configs by name, a YAML file each, and how they are read."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
