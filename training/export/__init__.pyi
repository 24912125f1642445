from .native_file import write_native
from .registration_stage import register_detector
from .stage import CONTRACT_FILE, export_model

__all__ = ["CONTRACT_FILE", "export_model", "register_detector", "write_native"]
