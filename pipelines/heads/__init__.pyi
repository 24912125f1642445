from .features import HeadFeatures, patch_identity, resized, stage_widths, tokens_as_maps
from .file import (
    HEAD_FILE,
    HeadRecord,
    fill,
    head_digest,
    read_head,
    require_features,
    save_head,
)
from .network import FusedHead, PromptPair, StageLinears, cosine_logits
from .required import required_head
from .section import (
    HEAD_METHODS,
    AnomalyClipSettings,
    AprilGanSettings,
    HeadMethod,
    PaintedSettings,
    Undescribed,
)

__all__ = [
    "HEAD_FILE",
    "HEAD_METHODS",
    "AnomalyClipSettings",
    "AprilGanSettings",
    "FusedHead",
    "HeadFeatures",
    "HeadMethod",
    "HeadRecord",
    "PaintedSettings",
    "PromptPair",
    "StageLinears",
    "Undescribed",
    "cosine_logits",
    "fill",
    "head_digest",
    "patch_identity",
    "read_head",
    "require_features",
    "required_head",
    "resized",
    "save_head",
    "stage_widths",
    "tokens_as_maps",
]
