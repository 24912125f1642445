from .faults import LOADING, reason_of
from .graph import Graph
from .input_shape import input_patches, input_size
from .loading import LoadedEncoder, load_encoder, say_normalisation, tokenizer_of
from .names import PRESETS, SHIPPED
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
from .sources import CONFIG_FILE, WEIGHTS_FILE, weights_digest
from .surgery import DenseEmbeddings, DenseEncoder, exact, require_dense_vit
from .tokens import LongSentence, long_sentences, refuse_long
from .tower_graph import TowerGraph, UnknownPartError

__all__ = [
    "CONFIG_FILE",
    "LOADING",
    "PRESETS",
    "SHIPPED",
    "TEMPLATES",
    "WEIGHTS_FILE",
    "CategoryPrompts",
    "DenseEmbeddings",
    "DenseEncoder",
    "Graph",
    "LoadedEncoder",
    "LongSentence",
    "PromptLibrary",
    "PromptState",
    "TowerGraph",
    "UnknownPartError",
    "defect_sentence",
    "exact",
    "input_patches",
    "input_size",
    "load_encoder",
    "load_library",
    "long_sentences",
    "prompt_states",
    "reason_of",
    "refuse_long",
    "require_dense_vit",
    "say_normalisation",
    "sentences",
    "tokenizer_of",
    "weights_digest",
]
