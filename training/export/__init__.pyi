from .further_files import Conditions, refuse_further
from .model_names import model_name
from .native_file import write_native
from .registration_stage import labels_digest, register_detector
from .section import ExportSection
from .stage import CONTRACT_FILE, export_model

__all__ = [
    "CONTRACT_FILE",
    "Conditions",
    "ExportSection",
    "export_model",
    "labels_digest",
    "model_name",
    "refuse_further",
    "register_detector",
    "write_native",
]
