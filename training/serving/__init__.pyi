from .access import TOKEN, Access, access_of
from .deployment import Settings, application_of
from .running import run_server
from .section import ServeSection
from .served_model import ServedModel

__all__ = [
    "TOKEN",
    "Access",
    "ServeSection",
    "ServedModel",
    "Settings",
    "access_of",
    "application_of",
    "run_server",
]
