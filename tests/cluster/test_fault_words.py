"""Faults of a config in the user's terms: what the value must be, not how the library checks it."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from cluster.errors import UserError
from cluster.fault_words import WORDS, first_fault, in_words
from training.project import read_project


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("corpus=3", "corpus: must be a section of settings, KEY: VALUE below it or SECTION.KEY=VALUE"),
        ("corpus.sources=3", "corpus.sources: must be a list, [a, b, …]"),
        ("corpus.root=3", "corpus.root: must be text"),
        ("boxes.c=abc", "boxes.c: must be a number (given: 'abc')"),
        ("boxes.delta=x", "boxes.delta: must be a number or 'auto' (given: 'x')"),
        ("boxes.min_area=x", "boxes.min_area: must be a whole number or 'released'"),
        ("finetune.loop.epochs=0", "finetune.loop.epochs: must be 1 or more (given: '0')"),
        ("finetune.loop.epochs=1.5", "finetune.loop.epochs: must be a whole number"),
        ("boxes.nms_iou=2", "boxes.nms_iou: must be 1.0 or less"),
        (
            "maps.method=x",
            "maps.method: must be 'kead', 'winclip', 'painted', 'aprilgan', 'anomalyclip' or 'aaclip'",
        ),
        ("maps.compile=perhaps", "maps.compile: must be true or false"),
        ("name=a b", "name: must match the pattern"),
    ],
)
def test_an_override_is_told_what_it_must_be(override: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        read_project([override])
    assert str(caught.value).startswith(f"Override {told}")
    assert "Input should" not in str(caught.value)


class Inner(BaseModel):
    number: int = Field(default=1, gt=0, lt=9)


class Whole(BaseModel):
    inner: Inner = Inner()
    either: Literal["auto"] | float = 1.0
    some: list[Inner] = Field(default=[], max_length=2, min_length=0)
    text: str = Field(default="a", min_length=1, max_length=3)
    needed: bool


@pytest.mark.parametrize(
    ("document", "path", "told"),
    [
        ({}, ["needed"], "is missing"),
        ({"needed": 1, "inner": {"number": 0}}, ["inner", "number"], "must be greater than 0"),
        ({"needed": 1, "inner": {"number": 9}}, ["inner", "number"], "must be less than 9"),
        ({"needed": 1, "inner": 3}, ["inner"], WORDS["model_type"]),
        ({"needed": 1, "either": "x"}, ["either"], "must be 'auto' or a number"),
        ({"needed": 1, "some": [{}, {"number": "x"}]}, ["some", "1", "number"], "must be a whole number"),
        ({"needed": 1, "some": [{}, {}, {}]}, ["some"], "must have at most 2 entries"),
        ({"needed": 1, "text": ""}, ["text"], "must have 1 characters or more"),
        ({"needed": 1, "text": "abcd"}, ["text"], "must have at most 3 characters"),
    ],
)
def test_place_and_words_of_a_fault(document: dict[str, Any], path: list[str], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(document)
    assert first_fault(caught.value.errors(), document) == (path, told)


def test_what_has_no_words_here_is_told_in_the_librarys() -> None:
    assert in_words({"type": "date_parsing", "msg": "Input is no date"}) == "Input is no date"
    assert in_words({"type": "value_error", "msg": "Value error, give one"}) == "give one"
