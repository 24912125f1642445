from .entries import ALIAS, MAX_TAG
from .http import RefusedError, ask
from .losses import take_losses
from .outbox import outbox_of
from .places import is_server, server_version
from .run import Run, client_of, ending, quieten
from .section import TrackingSection
from .team_server import add_user, serve
from .tracker import PipelineRun, Tracker

__all__ = [
    "ALIAS",
    "MAX_TAG",
    "PipelineRun",
    "RefusedError",
    "Run",
    "Tracker",
    "TrackingSection",
    "add_user",
    "ask",
    "client_of",
    "ending",
    "is_server",
    "outbox_of",
    "quieten",
    "serve",
    "server_version",
    "take_losses",
]
