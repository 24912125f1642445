from .access import TOKEN, Access, access_of
from .deployment import application_of
from .running import run_server
from .section import ServeSection
from .served_model import ServedModel
from .settings import Settings

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
