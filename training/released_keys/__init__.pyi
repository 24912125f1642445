from .recognition import in_our_keys
from .translation import Translation

__all__ = ["Translation", "in_our_keys"]
