"""the vision-language encoder: its loading, its surgery and its prompts."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
