"""Sentences that an encoder would not read to their end: its tokenizer cuts them off without a word."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from open_clip.tokenizer import HFTokenizer, SigLipTokenizer, SimpleTokenizer, basic_clean, canonicalize_text
from torch import Tensor

from cluster.errors import UserError
from pipelines.encoder.prompts import PromptState

Tokenizer = Callable[[list[str]], Tensor]
SHOWN = 300  # characters of a sentence in a message


@dataclass(frozen=True)
class LongSentence:
    """A sentence with more tokens than the encoder reads.

    Attributes:
        defect: the defect type it describes; None for a generic state.
        sentence: the sentence.
        tokens: the number of its tokens, those of start and end among them.
        context: the number that the encoder reads.
    """

    defect: str | None
    sentence: str
    tokens: int
    context: int


def long_sentences(states: Sequence[PromptState], tokenizer: Tokenizer) -> list[LongSentence]:
    """The sentences of these states that a tokenizer cuts off, in their order.

    Args:
        states: states of the category.
        tokenizer: open_clip's; of any other nothing is known, so nothing is said.
    """
    known: Any = tokenizer
    if not isinstance(known, HFTokenizer | SigLipTokenizer | SimpleTokenizer):
        return []
    each = [(state.defect, sentence) for state in states for sentence in state.sentences]
    counts = token_counts(known, [sentence for _, sentence in each])
    return [
        LongSentence(defect, sentence, count, known.context_length)
        for (defect, sentence), count in zip(each, counts, strict=True)
        if count > known.context_length
    ]


def token_counts(tokenizer: Any, texts: list[str]) -> list[int]:
    """How many tokens each text has before anything is cut off, with those that the tokenizer adds."""
    if isinstance(tokenizer, SimpleTokenizer):
        return [len(tokenizer.encode(text)) + 2 for text in texts]
    if isinstance(tokenizer, SigLipTokenizer):
        cleaned = [canonicalize_text(basic_clean(text)) for text in texts]
        return [len(ids) for ids in tokenizer.tokenizer(cleaned).input_ids]
    cleaned = [tokenizer.clean_fn(text) for text in texts]
    if tokenizer.tokenizer_mode == "clips":  # start, end and class are added afterwards
        ids = tokenizer.tokenizer(cleaned, add_special_tokens=False).input_ids
        return [len(each) + 3 for each in ids]
    return [len(each) for each in tokenizer.tokenizer(cleaned).input_ids]


def refuse_long(category: str, states: Sequence[PromptState], tokenizer: Tokenizer, encoder: str) -> None:
    """Refuse a category with a sentence that the encoder would not read to its end.

    Args:
        category: the category's name, for the message.
        states: its states.
        tokenizer: see `long_sentences`.
        encoder: the encoder's name, for the message.

    Raises:
        UserError: names category, defect, the longest sentence and its number of tokens.
    """
    long = long_sentences(states, tokenizer)
    if not long:
        return
    worst = max(long, key=lambda each: each.tokens)
    text = worst.sentence if len(worst.sentence) <= SHOWN else f"{worst.sentence[:SHOWN]}…"
    where, remedy = f'Category "{category}"', "shorten the name of the object"
    if worst.defect is not None:
        where = f'{where}, defect "{worst.defect}"'
        remedy = "shorten the defect's features, or leave them all out with maps.kead.defect_features=false"
    others = f" ({len(long)} sentences are too long)" if len(long) > 1 else ""
    raise UserError(
        f'{where}: the encoder {encoder} reads {worst.context} tokens, but "{text}" has {worst.tokens}, so '
        f"its end would count for nothing{others}; {remedy}."
    )
