from .adapters import (
    AaClipAdapters,
    ResidualAdapter,
    adapted_anchor,
    adapted_image,
    anchor_sentences,
    require_text_blocks,
)
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
    AaClipSettings,
    AnomalyClipSettings,
    AprilGanSettings,
    HeadMethod,
    PaintedSettings,
    Undescribed,
)

__all__ = [
    "HEAD_FILE",
    "HEAD_METHODS",
    "AaClipAdapters",
    "AaClipSettings",
    "AnomalyClipSettings",
    "AprilGanSettings",
    "FusedHead",
    "HeadFeatures",
    "HeadMethod",
    "HeadRecord",
    "PaintedSettings",
    "PromptPair",
    "ResidualAdapter",
    "StageLinears",
    "Undescribed",
    "adapted_anchor",
    "adapted_image",
    "anchor_sentences",
    "cosine_logits",
    "fill",
    "head_digest",
    "patch_identity",
    "read_head",
    "require_features",
    "require_text_blocks",
    "required_head",
    "resized",
    "save_head",
    "stage_widths",
    "tokens_as_maps",
]
