from .loading import (
    CONFIG_FILE,
    PRESETS,
    SHIPPED,
    WEIGHTS_FILE,
    LoadedEncoder,
    input_size,
    load_encoder,
    weights_digest,
)
from .prompts import (
    TEMPLATES,
    CategoryPrompts,
    PromptLibrary,
    PromptState,
    defect_sentence,
    load_library,
    prompt_states,
    sentences,
)
from .surgery import DenseEmbeddings, DenseEncoder, exact, require_dense_vit

__all__ = [
    "CONFIG_FILE",
    "PRESETS",
    "SHIPPED",
    "TEMPLATES",
    "WEIGHTS_FILE",
    "CategoryPrompts",
    "DenseEmbeddings",
    "DenseEncoder",
    "LoadedEncoder",
    "PromptLibrary",
    "PromptState",
    "defect_sentence",
    "exact",
    "input_size",
    "load_encoder",
    "load_library",
    "prompt_states",
    "require_dense_vit",
    "sentences",
    "weights_digest",
]
