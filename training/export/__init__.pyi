from .further_files import Conditions, refuse_further
from .native_file import write_native
from .registration_stage import register_detector
from .section import ExportSection
from .stage import CONTRACT_FILE, export_model

__all__ = [
    "CONTRACT_FILE",
    "Conditions",
    "ExportSection",
    "export_model",
    "refuse_further",
    "register_detector",
    "write_native",
]
