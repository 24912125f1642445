"""MLflow: one run a stage, an outbox for a server that is away, a team's server."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
