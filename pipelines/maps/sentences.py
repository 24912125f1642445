"""Whether an encoder reads the sentences of a config to their end, asked before any work."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipelines.encoder import (
    PRESETS,
    SHIPPED,
    CategoryPrompts,
    PromptState,
    load_library,
    prompt_states,
)
from pipelines.maps.section import MapsSection

if TYPE_CHECKING:
    from pipelines.encoder import LongSentence


def check_sentences(section: MapsSection, categories: Iterable[str]) -> None:
    """Refuse categories with a sentence that the encoder's tokenizer would cut off.

    The tokenizer, and with it open_clip, is loaded only where that isn't known.

    Raises:
        UserError: see `refuse_long`; no prompts, or an encoder that can't be used.
    """
    if not section.reads_text:
        return
    doubtful = {
        name: prompts
        for name, prompts in section.prompts_of(categories).items()
        if not surely_read(section, prompts)
    }
    if not doubtful:
        return
    from pipelines.encoder import refuse_long, tokenizer_of

    tokenizer = tokenizer_of(section.encoder.model, section.encoder.weights)
    for name, prompts in doubtful.items():
        refuse_long(name, states_of(section, prompts), tokenizer, section.encoder.model)


def unread(section: MapsSection, name: str) -> "list[LongSentence]":
    """The sentences of a category that the encoder would not read to their end.

    Raises:
        UserError: see `check_sentences`.
    """
    if not section.reads_text:
        return []
    prompts = section.library().category(name)
    if surely_read(section, prompts):
        return []
    from pipelines.encoder import long_sentences, tokenizer_of

    tokenizer = tokenizer_of(section.encoder.model, section.encoder.weights)
    return long_sentences(states_of(section, prompts), tokenizer)


def surely_read(section: MapsSection, prompts: CategoryPrompts) -> bool:
    """Whether these are shipped prompts and one of the encoders that a test holds them against."""
    return section.encoder.model in (SHIPPED, *PRESETS) and prompts in load_library().categories.values()


def states_of(section: MapsSection, prompts: CategoryPrompts) -> list[PromptState]:
    """The states that the chosen method encodes."""
    normal, anomalous = prompt_states(prompts, section.chosen.describes)
    return [*normal, *anomalous]
