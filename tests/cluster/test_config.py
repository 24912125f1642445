"""Config: every mistake is one sentence with the dotted path and the nearest valid key."""

from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given, strategies as st
from pydantic import Field, ValidationError, model_validator

from cluster.config import Section, load, load_words, merge, parse_overrides, validate
from cluster.errors import UserError, nearest
from cluster.recipes import recipes
from cluster.yaml_files import parse_yaml, read_config_file


class Kead(Section):
    shots: int = Field(default=4, ge=0, le=64)
    model: str = "base"


class Maps(Section):
    kead: Kead = Kead()
    sizes: tuple[int, ...] = (1, 2)


class Project(Section):
    name: str = "p"
    maps: Maps = Maps()


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"maps": {"kead": {"shot": 2}}}, 'unknown key "maps.kead.shot"; did you mean "shots"?'),
        ({"map": {}}, 'unknown key "map"; did you mean "maps"?'),
        ({"zzz": 1}, "valid: maps, name"),
        ({"maps": {"kead": {"shots": 99}}}, '"maps.kead.shots": must be 64 or less'),
        ({"maps": {"kead": {"shots": "many"}}}, "(given: 'many')"),
        ({"maps": {"sizes": [1, "x"]}}, '"maps.sizes.1"'),
        ({"maps": 3}, '"maps"'),
    ],
)
def test_mistakes_name_their_place(document: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        validate(Project, document, "Config file x.yaml")
    assert str(caught.value).startswith("Config file x.yaml: ")
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_sections_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Project().name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "not valid YAML"),
        ("a: 1\na: 2", 'key "a" is written twice'),
        ("m:\n  k: 1\n  k: 1", 'key "k" is written twice'),
        ("a: &x [1]\nb: *x", "aliases"),
        ("- 1", "must hold a mapping"),
        ("just words", "must hold a mapping"),
        ("? [1, 2]\n: 3", "a key must be a plain word"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("a: 2026-99-99", "not valid YAML"),
        ("a: \x07", "not valid YAML"),
    ],
)
def test_yaml_mistakes(text: str, says: str) -> None:
    with pytest.raises(UserError, match=r"x\.yaml") as caught:
        parse_yaml(text, "Config file x.yaml")
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    with pytest.raises(UserError, match="aliases"):
        parse_yaml("\n".join(lines), "bomb")


def test_a_million_aliases_are_refused_unread(tmp_path: Path) -> None:
    text = "a: &a [x, x]\nb: [" + "*a, " * 10**6 + "]"
    with pytest.raises(UserError, match="aliases"):
        parse_yaml(text, "bomb")
    (tmp_path / "bomb.yaml").write_text(text)
    with pytest.raises(UserError, match="larger than 1 MiB"):
        read_config_file(tmp_path / "bomb.yaml")
    assert parse_overrides(["k=[&a x, *a]"]) == {"k": "[&a x, *a]"}  # no YAML of ours: plain text


def test_deep_nesting_in_an_override_is_plain_text() -> None:
    deep = "[" * 5000 + "]" * 5000
    assert parse_overrides([f"k={deep}"]) == {"k": deep}


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(UserError, match="not valid YAML"):
        parse_yaml("a: " + "[" * 5000 + "]" * 5000, "deep")


def test_an_empty_file_is_an_empty_config() -> None:
    assert parse_yaml("", "x") == {}
    assert parse_yaml("# nothing", "x") == {}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_config_file(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match="directory"):
        read_config_file(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(UserError, match="not UTF-8"):
        read_config_file(tmp_path / "latin.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(UserError, match="larger than 1 MiB"):
        read_config_file(tmp_path / "large.yaml")


@pytest.mark.parametrize("word", ["maps", "=3", ".a=3", "a.=3", "a..b=3"])
def test_overrides_must_read_key_equals_value(word: str) -> None:
    with pytest.raises(UserError, match=r"section\.key=value"):
        parse_overrides([word])


def test_overrides_are_yaml_and_the_last_wins() -> None:
    words = ["maps.kead.shots=2", "maps.sizes=[3, 4]", "name=a=b", "maps.kead.shots=1", "x=", "y=[unclosed"]
    assert parse_overrides(words) == {
        "maps": {"kead": {"shots": 1}, "sizes": [3, 4]},
        "name": "a=b",
        "x": None,
        "y": "[unclosed",
    }


KEYS = st.text("abcdefgh_", min_size=1, max_size=5)
VALUES = st.one_of(
    st.integers(), st.booleans(), st.none(), st.lists(st.integers()), st.text("xyz ", max_size=6)
)


@given(st.lists(KEYS, min_size=1, max_size=4), VALUES)
def test_any_value_survives_as_an_override(path: list[str], value: object) -> None:
    raw = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    nested = parse_overrides([f"{'.'.join(path)}={raw}"])
    for key in path:
        nested = nested[key]
    assert nested == value


TREES = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=3), lambda t: st.dictionaries(KEYS, t, max_size=3), max_leaves=6
)


@given(TREES, TREES)
def test_merging_keeps_the_upper_and_changes_neither(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = yaml.safe_dump([base, over])
    merged = merge(base, over)
    assert merge(merged, over) == merged
    assert set(merged) == set(base) | set(over)
    assert merge({}, over) == over
    assert merge(base, {}) == base
    assert yaml.safe_dump([base, over]) == before


@given(st.text(max_size=200))
def test_any_text_is_a_config_or_a_user_error(text: str) -> None:
    try:
        parsed = parse_yaml(text, "x")
    except UserError:
        return
    assert isinstance(parsed, dict)


def test_file_over_base_and_overrides_over_both(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: file\nmaps: {kead: {shots: 2}}")
    project = load(
        Project, [str(path)], ["maps.kead.shots=1"], {"maps": {"kead": {"model": "huge"}}, "name": "base"}
    )
    assert project == Project(name="file", maps=Maps(kead=Kead(shots=1, model="huge")))
    patch = tmp_path / "patch.yaml"
    patch.write_text("maps: {kead: {shots: 3}}")
    patched = load(Project, [str(path), str(patch)], [], {})
    assert patched == Project(name="file", maps=Maps(kead=Kead(shots=3)))


def test_recipes_are_named() -> None:
    shipped = recipes()
    assert shipped
    with pytest.raises(UserError, match=f'did you mean "{min(shipped)}"'):
        load(Project, [f"recipe:{min(shipped)[:-1]}"], [], {})


def test_nearest_says_what_was_meant() -> None:
    assert nearest("corpsu", ["corpus", "maps"]) == 'did you mean "corpus"?'
    assert nearest("zzz", ["b", "a"]) == "valid: a, b"


class Loop(Section):
    """An inner section."""

    epochs: int = Field(default=1, ge=1)
    pool: int | tuple[int, int] | None = None


class Stage(Section):
    """A section with a section."""

    loop: Loop = Loop()

    @model_validator(mode="after")
    def whole(self) -> "Stage":
        """What only the whole section shows."""
        if self.loop.epochs == 13:
            raise ValueError("not thirteen")
        return self


class Whole(Section):
    """A project."""

    finetune: Stage = Stage()


@pytest.mark.parametrize(
    ("file", "overrides", "told"),
    [
        ("", ["finetune.loop.epochs=0"], "Override finetune.loop.epochs: must be"),
        (
            "",
            ["finetune.loop.epoch=1"],
            'Override finetune.loop.epoch: unknown key; did you mean "ep',
        ),
        ("", ["finetune.epochs=1"], "Override finetune.epochs: unknown key; "),
        ("", ["finetune={loop: {epochs: 0}}"], "Override finetune.loop.epochs: must be"),
        ("", ["finetune.loop.epochs.x=1"], "Override finetune.loop.epochs.x: must be a whole number"),
        (
            "",
            ["finetune.loop=3"],
            "Override finetune.loop: must be a section of settings, KEY: VALUE below it or",
        ),
        ("", ["finetune.loop.pool=a"], "Override finetune.loop.pool: must be"),
        (
            "{finetune: {loop: {epochs: 0}}}",
            ["finetune.loop.pool=1"],
            'FILE: "finetune.loop.epochs": must be',
        ),
        (
            "{finetune: {loop: {epochs: 0, pool: 1}}}",
            ["finetune.loop.epochs=2", "finetune.loop.pool=-"],
            "Overr",
        ),
        ("{finetune: {loop: {epochs: 13}}}", ["finetune.loop.pool=1"], 'FILE: "finetune": not thirteen'),
    ],
)
def test_who_wrote_a_value_is_blamed_for_it(
    tmp_path: Path, file: str, overrides: list[str], told: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(file or "{}")
    with pytest.raises(UserError) as caught:
        load(Whole, [str(path)], overrides, {})
    assert str(caught.value).startswith(told.replace("FILE", f"Config file {path}"))


class Numbers(Section):
    count: int = 1
    share: float | None = None
    sides: int | tuple[int, int] = 3
    switch: bool = False
    gpu: Literal["auto"] | bool = "auto"
    either: bool | int = 2


@pytest.mark.parametrize(
    "word", ["count=yes", "count=true", "share=on", "share=False", "sides=yes", "sides=[1, true]"]
)
def test_yes_is_no_number(word: str) -> None:
    """YAML's yes is True, and pydantic takes True for 1."""
    with pytest.raises(UserError, match=r"must (be a|hold) numbers?"):
        load_words(Numbers, [word], {})


def test_yes_stays_where_it_belongs() -> None:
    made = load_words(Numbers, ["switch=yes", "gpu=no", "either=true", "share=null", "count=4"], {})
    assert (made.switch, made.gpu, made.either, made.share, made.count) == (True, False, True, None, 4)


@pytest.mark.parametrize("text", ["010", "-010", "0_17", "1:30", "190:20:30", "1:30.5"])
def test_numbers_in_base_8_or_60_are_refused(text: str) -> None:
    """YAML 1.1 reads 010 as 8 and 1:30 as 90."""
    with pytest.raises(UserError, match="base 8 or 60"):
        load_words(Numbers, [f"count={text}"], {})


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("10", 10), ("1_000", 1000), ("0x10", 16), ("-3", -3)]
)
def test_other_numbers_are_what_they_were(text: str, number: int) -> None:
    assert load_words(Numbers, [f"count={text}"], {}).count == number
