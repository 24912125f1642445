from .backbone_file import BACKBONE_FILE, KIND, load_backbone, save_backbone
from .detector_file import WEIGHTS_FILE, load_detector, save_detector
from .filling import filled_detector, fresh_detector, report_json
from .model_source import ModelSource, open_model
from .resolving import Start, resolve_start, start_of_artifact, state_digest
from .shipped import surface_digest, write_start
from .words import AGBP, AGSSP, OWN_STARTS, PUBLISHED, SCRATCH, SUFFIXES, SURFACE, StartWord

__all__ = [
    "AGBP",
    "AGSSP",
    "BACKBONE_FILE",
    "KIND",
    "OWN_STARTS",
    "PUBLISHED",
    "SCRATCH",
    "SUFFIXES",
    "SURFACE",
    "WEIGHTS_FILE",
    "ModelSource",
    "Start",
    "StartWord",
    "filled_detector",
    "fresh_detector",
    "load_backbone",
    "load_detector",
    "open_model",
    "report_json",
    "resolve_start",
    "save_backbone",
    "save_detector",
    "start_of_artifact",
    "state_digest",
    "surface_digest",
    "write_start",
]
