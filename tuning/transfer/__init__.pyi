from .config import TransferSection, transfer_preset, transfer_section
from .objects import OBJECTS
from .study import cell_count, data_sets, run_transfer

__all__ = [
    "OBJECTS",
    "TransferSection",
    "cell_count",
    "data_sets",
    "run_transfer",
    "transfer_preset",
    "transfer_section",
]
