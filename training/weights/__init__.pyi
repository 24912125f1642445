from .files import METADATA_KEY, StateDict, check_whole, load_weights, save_weights
from .pickled import SUFFIXES, read_pickled
from .transfer import TransferReport

__all__ = [
    "METADATA_KEY",
    "SUFFIXES",
    "StateDict",
    "TransferReport",
    "check_whole",
    "load_weights",
    "read_pickled",
    "save_weights",
]
