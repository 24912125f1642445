"""a Ray session and what crosses its processes: attempts, boards, counters, metrics, the patched trainer."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
