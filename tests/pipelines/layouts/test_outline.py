"""What the beginning of a label file shows of its format."""

import json
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from pipelines.layouts.outline import DEPTH, LIST, json_keys, xml_root

KEYS = st.text('ab{[:,"\\é', max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('ab{[:,"\\é', max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def keys_of(value: Any, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The key paths of a parsed document, as the docstring has them."""
    if isinstance(value, list):
        return set().union(*(keys_of(item, (*above, LIST)) for item in value))
    if isinstance(value, dict):
        inner = (keys_of(item, (*above, key)) for key, item in value.items())
        return {(*above, key) for key in value}.union(*inner)
    return set()


@given(JSON, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_the_keys_are_those_of_the_document(value: Any, encoding: str) -> None:
    text = json.dumps(value, ensure_ascii=False)
    wanted = {
        tuple(json.dumps(key, ensure_ascii=False)[1:-1] if key != LIST else key for key in path)
        for path in keys_of(value)
        if len(path) <= DEPTH
    }
    assert json_keys(text.encode(encoding)) == wanted


@given(JSON, st.integers(0, 60))
@example([[None, None, None], {":": None}], 24)
@example(['a\\"b{:"'], 6)
def test_a_cut_document_shows_some_of_its_keys(value: Any, length: int) -> None:
    whole = json.dumps(value).encode()
    assert json_keys(whole[:length]) <= json_keys(whole)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(head: bytes) -> None:
    json_keys(head), json_keys(b"{" + head), xml_root(head), xml_root(b"<" + head)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("<annotation><x/></annotation>", "annotation"),
        ('<?xml version="1.0"?>\n<!-- <a> --><annotations id="1">', "annotations"),
        ('<!DOCTYPE a [<!ENTITY x "<b>">]> <a/>', "a"),
        ("<VOC:a>", "VOC:a"),
        ("", ""),
        ("no tag <a>", ""),
        ("<!-- never closed <a>", ""),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_first_tag(text: str, name: str, encoding: str) -> None:
    assert xml_root(text.encode(encoding)) == name
