from .files import is_registered, registered_files
from .making import made_differently
from .promotion import promote
from .provenance import Evaluation, Provenance, file_tags
from .pull import REGISTRY_FILE, making_of, weights_file
from .ranking import best, comparison, evaluation_on, ranked
from .reader import registry_reader
from .registry import ModelVersion, Registry, register

__all__ = [
    "REGISTRY_FILE",
    "Evaluation",
    "ModelVersion",
    "Provenance",
    "Registry",
    "best",
    "comparison",
    "evaluation_on",
    "file_tags",
    "is_registered",
    "made_differently",
    "making_of",
    "promote",
    "ranked",
    "register",
    "registered_files",
    "registry_reader",
    "weights_file",
]
