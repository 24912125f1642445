"""Counts of tokens against tokenizers that are given room, and the sentence that refuses a long prompt."""

from pathlib import Path
from typing import Any

import open_clip
import pytest
from hypothesis import given, settings, strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from cluster.errors import UserError
from pipelines.encoder.loading import tokenizer_of
from pipelines.encoder.names import PRESETS, SHIPPED
from pipelines.encoder.prompts import CategoryPrompts, DefectPrompt, load_library, prompt_states
from pipelines.encoder.tokens import long_sentences, refuse_long, token_counts
from pipelines.maps.kead import KeAD
from pipelines.maps.section import KeadSettings, MapsSection
from pipelines.maps.sentences import check_sentences
from tests.pipelines.tiny_encoder import tiny_encoder

CLIP = SimpleTokenizer()


def described(features: str, name: str = "rail") -> CategoryPrompts:
    return CategoryPrompts(object=name, defects=(DefectPrompt(type="squat", features=features),))


def states_of(prompts: CategoryPrompts) -> list[Any]:
    normal, anomalous = prompt_states(prompts, True)
    return [*normal, *anomalous]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_counts_are_the_tokens_of_a_tokenizer_with_room(text: str) -> None:
    row = CLIP([text], context_length=2000)[0].tolist()
    (count,) = token_counts(CLIP, [text])
    assert row[count - 1] == CLIP.eot_token_id
    assert not any(row[count:])


@pytest.fixture
def words(tmp_path: Path) -> HFTokenizer:
    """A tokenizer of transformers: a token a word, and one at either end."""
    vocabulary = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3}
    plain: Any = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    plain.normalizer, plain.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=plain, **special).save_pretrained(str(tmp_path))
    return HFTokenizer(str(tmp_path), context_length=12)


def test_a_tokenizer_of_transformers_is_counted_too(words: HFTokenizer) -> None:
    assert token_counts(words, ["a b c", "", "a  b\n c d"]) == [5, 2, 6]
    full, over = "a b c d e f g h i j", "a b c d e f g h i j k"
    assert words([full])[0].tolist() == words([over])[0].tolist()  # it says nothing of the last word
    assert token_counts(words, [full, over]) == [12, 13]


def test_the_longest_sentence_is_named_with_its_count() -> None:
    states = states_of(described("bright " * 70))
    long = long_sentences(states, CLIP)
    assert {each.defect for each in long} == {"squat"}
    assert len(long) == 21
    assert {each.context for each in long} == {77}
    with pytest.raises(UserError) as told:
        refuse_long("rail", states, CLIP, "base")
    text = str(told.value)
    assert text.startswith('Category "rail", defect "squat": the encoder base reads 77 tokens, but "a ')
    most = max(each.tokens for each in long)
    assert f"has {most}, so its end would count for nothing (21 sentences are too long); shorten" in text
    with pytest.raises(UserError, match="shorten the name of the object"):
        refuse_long("rail", states_of(CategoryPrompts(object="long " * 80)), CLIP, "base")


def test_a_sentence_that_just_fits_is_read() -> None:
    for count in range(1, 70):
        states = states_of(described("bright " * count))
        sentences = [sentence for state in states for sentence in state.sentences]
        fits = max(token_counts(CLIP, sentences)) <= 77
        assert (long_sentences(states, CLIP) == []) is fits


def test_two_defects_that_differ_only_beyond_the_end_encode_alike_and_are_refused() -> None:
    one, other = (described("bright " * 70 + end) for end in ("line", "dent"))
    sentences = [states_of(each)[-1].sentences[0] for each in (one, other)]
    assert CLIP(sentences)[0].equal(CLIP(sentences)[1])
    kead = KeAD(tiny_encoder(), KeadSettings(shots=0))
    for each in (one, other):
        with pytest.raises(UserError, match='Category "rail", defect "squat": the encoder tiny reads 77'):
            kead.category_state(each, None)
    generic = KeAD(tiny_encoder(), KeadSettings(shots=0, defect_features=False))
    assert generic.category_state(one, None).t_a.shape == (16,)


def test_shipped_prompts_are_read_whole_by_the_shipped_and_the_papers_encoders() -> None:
    """So that these need no tokenizer to be checked."""
    for name in (SHIPPED, *PRESETS):
        arch = PRESETS[name][0] if name in PRESETS else None
        tokenizer: Any = open_clip.get_tokenizer(arch) if arch else tokenizer_of(SHIPPED)
        assert isinstance(tokenizer, SimpleTokenizer)
        assert tokenizer.context_length == 77
    for prompts in load_library().categories.values():
        assert long_sentences(states_of(prompts), CLIP) == []


def test_a_config_is_refused_before_any_work() -> None:
    raw = {"rail": {"object": "rail", "defects": [{"type": "squat", "features": "bright " * 70}]}}
    section = MapsSection.model_validate({"categories": raw})
    check_sentences(section, [])
    check_sentences(section, ["magnetic_tile"])
    with pytest.raises(UserError, match='Category "Rail", defect "squat": the encoder surface-clip reads 77'):
        check_sentences(section, ["magnetic_tile", "Rail"])
    for change in ({"kead": {"defect_features": False}}, {"method": "winclip"}):
        check_sentences(MapsSection.model_validate({"categories": raw, **change}), ["Rail"])
