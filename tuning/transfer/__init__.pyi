from .objects import OBJECTS
from .projects import cell_count, data_sets, estimated_seconds, finished_seconds
from .section import TransferSection, transfer_preset, transfer_section
from .study import run_transfer

__all__ = [
    "OBJECTS",
    "TransferSection",
    "cell_count",
    "data_sets",
    "estimated_seconds",
    "finished_seconds",
    "run_transfer",
    "transfer_preset",
    "transfer_section",
]
