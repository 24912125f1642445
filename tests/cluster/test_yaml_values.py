"""YAML that people, machines and enemies write: a config, or one sentence with key and line."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings, strategies as st
from pydantic import Field

from cluster.config import Section, load, parse_overrides, validate
from cluster.errors import UserError
from cluster.storage import refuse_secrets_in
from cluster.yaml_files import MAX_DIGITS, parse_yaml, read_config_file

MANY = 5000
FAULTS: list[tuple[str, str]] = [
    ("name: !!bool abc", '"name" on line 1: "abc" is no !!bool'),
    ("name: !!int ''", '"name" on line 1: "" is no !!int'),
    ("a: 1\n\nname: !!int '_'", '"name" on line 3: "_" is no !!int'),
    ("name: !!int '1:x'", '"name" on line 1: "1:x" is no !!int'),
    ("name: 0x_", '"name" on line 1: "0x_" is no !!int; put it into quotes if it is text'),
    ("name: !!float ''", '"name" on line 1: "" is no !!float'),
    ("name: !!float '+'", '"name" on line 1: "+" is no !!float'),
    ("name: !!timestamp abc", '"name" on line 1: "abc" is no !!timestamp'),
    ("name: 2026-99-99", '"name" on line 1: "2026-99-99" is no !!timestamp'),
    ("name: 2026-01-01 99:00:00", "is no !!timestamp"),
    ("name: 2026-01-01 01:00:00 +99:99", "is no !!timestamp"),
    (f"seed: {'9' * 4300}", '"seed" on line 1: a number of 4,300 characters is too long'),
    (f"seed: 0x{'f' * MANY}", "a number of 5,002 characters is too long"),
    (f"seed: 0b{'1' * MANY}", "a number of 5,002 characters is too long"),
    (f"seed: 0{'7' * MANY}", "a number of 5,001 characters is too long"),
    (f"seed: 1{':59' * 100}", "a number of 301 characters is too long"),
    (f"seed: 1{':59' * 400}.5", "a number of 1,203 characters is too long"),
    (f"seed: 1{'0' * 400}.0", "a number of 403 characters is too long"),
    ("list:\n  - a\n  - {deep: !!int q}", '"list.1.deep" on line 3: "q" is no !!int'),
    ("a: !!binary aGk=", '"a" on line 1: the tag !!binary is not allowed'),
    ("a: !!set {x, y}", "the tag !!set is not allowed"),
    ("a: !!set [x]", "the tag !!set is not allowed"),
    ("a: !!omap [x: 1]", "the tag !!omap is not allowed"),
    ("a: !!pairs 3", "the tag !!pairs is not allowed"),
    ("a: !mine x", "the tag !mine is not allowed"),
    ("a: !!map 3", '"a" on line 1: "3" is no mapping'),
    ("a: !!seq 3", "expected a sequence node"),
    ("a: !!str {b: 1}", "expected a scalar node"),
    ("a: {<<: {b: 1}, c: 2}", '"a" on line 1: merges (<<) are not allowed'),
    ("<<: [1]", "line 1: merges (<<) are not allowed"),
    ("a:\n  b: 1\n  b: 2", '"a" on line 3: key "b" is written twice'),
    ("? {a: 1}\n: 2", "line 1: a key must be a plain word"),
    (f"{'k' * 1000}: 1\n{'k' * 1000}: 1", f'key "{"k" * 60}" is written twice'),
    ('a: "\\ud800"', '"a" on line 1: half a character'),
    ('a: "\\0"', '"a" on line 1: text can\'t hold a NUL character'),
    ('"\\0": a', "text can't hold a NUL character"),
    ('a: "\\UFFFFFFFF"', "not valid YAML"),
    ("a: \0", "special characters are not allowed"),
    ("a:\n\tb: 1", "cannot start any token"),
    (f"a: {'[' * MANY}", "it is nested too deeply"),
    (f"a: {'{a: ' * MANY}", "it is nested too deeply"),
    ("a: 1\n---\nb: 2", "expected a single document"),
]


@pytest.mark.parametrize(("text", "says"), FAULTS, ids=[text[:30] for text, _ in FAULTS])
def test_a_value_that_no_config_takes_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, "Config file x.yaml")
    told = str(caught.value)
    assert told.startswith("Config file x.yaml is not valid YAML: ")
    assert says in told
    assert len(told.splitlines()) == 1
    assert len(told) < 400


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("a=!!int ''", 'Override a: "" is no !!int'),
        ("a.b=!!bool abc", 'Override a.b: "abc" is no !!bool'),
        (f"seed={'9' * 4300}", "Override seed: a number of 4,300 characters is too long"),
        ("a={b: {c: !!float x}}", 'Override a: "b.c": "x" is no !!float'),
        ("a={b: 1, b: 2}", 'Override a: key "b" is written twice'),
        ("a=!!set {x}", "Override a: the tag !!set is not allowed"),
        (f"{'a.' * 5000}b=1", "must read section.key=value"),
    ],
)
def test_such_a_value_in_an_override_is_one_sentence_too(word: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_overrides([word])
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def test_dates_are_text_and_what_is_no_yaml_in_an_override_too() -> None:
    assert parse_yaml("root: 2026-01-31\n2026-02-01: b", "x") == {"root": "2026-01-31", "2026-02-01": "b"}
    words = ["a=2026-01-31", "b=*.png", "c=[x", "d==", "e=", "g=a: b: c"]
    expected = {"a": "2026-01-31", "b": "*.png", "c": "[x", "d": "=", "e": None, "g": "a: b: c"}
    assert parse_overrides(words) == expected


def test_numbers_up_to_the_limit_and_other_plain_values_are_read() -> None:
    digits = "9" * MAX_DIGITS
    text = f"a: {digits}\nb: 0x1F\nc: 1_000\nd: -0.5\ne: yes\nf: ~\ng: '0x_'\n1: one\nh: {{on: 1}}\n"
    read = parse_yaml("\ufeff" + text, "x")
    assert read == {
        "a": int(digits),
        "b": 31,
        "c": 1000,
        "d": -0.5,
        "e": True,
        "f": None,
        "g": "0x_",
        1: "one",
        "h": {True: 1},
    }


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_files_of_another_encoding_are_told(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.yaml").write_bytes("name: é\n".encode(encoding))
    with pytest.raises(UserError, match=r"x\.yaml (can't be read: it is not UTF-8|is not valid YAML)"):
        read_config_file(tmp_path / "x.yaml")
    with pytest.raises(UserError, match="can't be read"):
        read_config_file(Path("a\0b.yaml"))


class Figures(Section):
    share: float = Field(default=0.5, ge=0)
    rates: tuple[float, ...] = ()
    count: int = 1


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1.0e+999"])
@pytest.mark.parametrize("key", ["share", "count", "rates"])
def test_nan_and_infinities_are_no_numbers_of_a_config(key: str, value: str) -> None:
    document = parse_yaml(f"{key}: {[value] if key == 'rates' else value}".replace("'", ""), "x")
    with pytest.raises(UserError, match=f'"{key}.*finite number'):
        validate(Figures, document, "Config")
    with pytest.raises(UserError, match="finite number"):
        load(Figures, [], [f"{key}={[value] if key == 'rates' else value}".replace("'", "")], {})


@pytest.mark.parametrize("key", ["k" * 1000, '"a\\nb"', "1", "~", "true", ".nan"])
def test_an_unknown_key_of_any_kind_is_told(key: str) -> None:
    with pytest.raises(UserError, match=r"unknown key|Keys should be strings") as caught:
        validate(Figures, parse_yaml(f"{key}: 1", "x"), "Config")
    assert len(str(caught.value)) < 500


# Words that lead into every corner of the language.
PIECES = st.sampled_from(
    [
        *(
            "a",
            "b: ",
            ": ",
            "- ",
            "\n",
            "\n  ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "? ",
            "'",
            '"',
            "|\n",
            ">\n",
            "#",
            "&x ",
        ),
        *(
            "*x",
            "<<: ",
            "!!int ",
            "!!bool ",
            "!!float ",
            "!!timestamp ",
            "!!set ",
            "!!omap ",
            "!!null ",
            "!!map ",
        ),
        *(
            "!!binary ",
            "!!str ",
            "!x ",
            "!<y> ",
            "%YAML 1.1\n",
            "---\n",
            "...\n",
            "\t",
            "\\0",
            "\\ud800",
            "\\x",
        ),
        *(
            "0x",
            "0b",
            "0o7",
            "1:59",
            ".inf",
            ".nan",
            "2026-02-30",
            "1e9",
            "-",
            "+",
            "_",
            "=",
            "~",
            "yes",
            "\ufeff",
        ),
        *("\0", "\x85", "\u2028", "é", "\U0001f600", "9" * 60, ":59" * 40),
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map("".join))


def is_plain(value: Any) -> bool:
    """Whether a value is what JSON holds, printable and stored without a fault."""
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(is_plain(item) for item in value)
    if isinstance(value, str):
        return "\0" not in value and bool(value.encode() or True)
    return value is None or (isinstance(value, int | float) and bool(str(value)))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example("a: !!int ''")
@example("a: !!timestamp ''")
def test_any_text_is_plain_values_or_one_sentence(text: str) -> None:
    readers: list[Callable[[], dict[str, Any]]] = [
        lambda: parse_yaml(text, "x"),
        lambda: parse_overrides([f"k={text}"]),
    ]
    for read in readers:
        try:
            document = read()
        except UserError as error:
            told = str(error)
        else:
            told = ""
            if document != {"k": text}:  # no YAML: the words as they were typed
                assert is_plain(document)
            refuse_secrets_in(document)
        assert len(told) < 2000


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_any_value_of_a_key_is_taken_or_told(text: str) -> None:
    for words in ([f"share={text}"], [f"count={text}"], [f"rates={text}"], [text + "=1"]):
        try:
            figures = load(Figures, [], words, {})
        except UserError:
            continue
        assert all(math.isfinite(value) for value in (figures.share, figures.count, *figures.rates))


@given(
    st.recursive(st.text("ab", max_size=3) | st.integers() | st.booleans(), lambda t: st.lists(t, max_size=3))
)
def test_what_pyyaml_writes_is_read_as_it_reads_it(value: Any) -> None:
    text = yaml.safe_dump({"key": value})
    assert parse_yaml(text, "x") == yaml.safe_load(text)
