from .blocks import BlockOutputs, block_outputs, chosen_blocks
from .faults import LOADING, reason_of
from .graph import Graph
from .input_shape import input_patches, input_size
from .licences import (
    LICENCES,
    bank_licence,
    encoder_licence,
    licence_of,
    licences_text,
    map_licences,
    written_licences,
)
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
    "LICENCES",
    "LOADING",
    "PRESETS",
    "SHIPPED",
    "TEMPLATES",
    "WEIGHTS_FILE",
    "BlockOutputs",
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
    "bank_licence",
    "block_outputs",
    "chosen_blocks",
    "defect_sentence",
    "encoder_licence",
    "exact",
    "input_patches",
    "input_size",
    "licence_of",
    "licences_text",
    "load_encoder",
    "load_library",
    "long_sentences",
    "map_licences",
    "prompt_states",
    "reason_of",
    "refuse_long",
    "require_dense_vit",
    "say_normalisation",
    "sentences",
    "tokenizer_of",
    "weights_digest",
    "written_licences",
]
