from .files import registered_files
from .promotion import promote
from .provenance import Evaluation, Provenance, file_tags
from .pull import REGISTRY_FILE, weights_file
from .ranking import best, comparison, ranked
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
    "file_tags",
    "promote",
    "ranked",
    "register",
    "registered_files",
    "registry_reader",
    "weights_file",
]
