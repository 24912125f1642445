"""What a stage says is read back from a log as it was meant."""

import pytest
from hypothesis import given, strategies as st

from cluster.stages import sentences
from cluster.stages.sentences import Said, parse_sentence, summary

STAGES = st.from_regex(r"[\w-]{1,20}", fullmatch=True)
WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40)
RESULTS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,9}", fullmatch=True), st.integers() | st.floats() | WORDS | st.none(), max_size=4
)


@given(STAGES, WORDS)
def test_a_stage_that_is_begun_reused_or_waited_for_is_read_back(stage: str, where: str) -> None:
    assert parse_sentence(sentences.started(stage, where)) == Said(stage, "running")
    assert parse_sentence(sentences.reused(stage, where)) == Said(stage, "reused")
    assert parse_sentence(sentences.waiting(stage, where)) == Said(stage, "waiting")


@given(STAGES, st.floats(0, 1e7), RESULTS)
def test_a_stage_that_is_done_is_read_back(stage: str, seconds: float, results: dict[str, object]) -> None:
    said = parse_sentence(sentences.done(stage, seconds, results))
    assert said is not None
    assert said == Said(stage, "done", said.seconds, summary(results).removeprefix(": "))
    assert said.seconds == pytest.approx(seconds, abs=0.051)


@pytest.mark.parametrize("line", ["", "  maps: 3/4", "maps: done", "Ray: starting a local session (5-15 s)"])
def test_other_lines_are_no_sentence_of_a_stage(line: str) -> None:
    assert parse_sentence(line) is None
