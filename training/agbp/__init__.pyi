from .attention import attention_map
from .data import PretrainImages, held_out_count
from .section import BackboneSection, MocoSection, PretextName, SimmimSection
from .stage import ATTENTION_FILE, pretrain_backbone, started_backbone
from .task import AgbpTask

__all__ = [
    "ATTENTION_FILE",
    "AgbpTask",
    "BackboneSection",
    "MocoSection",
    "PretextName",
    "PretrainImages",
    "SimmimSection",
    "attention_map",
    "held_out_count",
    "pretrain_backbone",
    "started_backbone",
]
