"""Search spaces: what words mean, and the sentence for every fault."""

import math

import optuna
import pytest
from hypothesis import given, strategies as st

from cluster.errors import UserError
from training.project import Project
from tuning.space import Dimension, check_space, grid, nested, parse_dimension, parse_space


def test_words() -> None:
    assert parse_dimension("a.b=[1, x, null]") == Dimension("a.b", (1, "x", None))
    assert parse_dimension("a=1..9") == Dimension("a", None, 1, 9)
    assert parse_dimension("a=0.1..0.5:0.1") == Dimension("a", None, 0.1, 0.5, 0.1)
    assert parse_dimension("a=1e-5..1e-2:log") == Dimension("a", None, 1e-5, 1e-2, None, True)
    exact = ("a=1000001..2000000", "a=0.12345678..0.5:0.00012345678")  # %g would write other numbers
    for word in ("a=[1, 2]", "a=0.1..0.5:0.1", "a=1..9", "a=1e-05..0.01:log", *exact):
        assert parse_dimension(parse_dimension(word).text()) == parse_dimension(word)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("a", "must read KEY="),
        ("a.=[1]", "must read KEY="),
        ("a=3", "must list values"),
        ("a=[1", "must list values"),
        ("a=[]", "search space of a is empty"),
        ("a=[1, 1]", "lists a value twice"),
        ("a=[1, 1.0]", "lists a value twice"),
        ("a=5..1", "search space of a is empty"),
        ("a=0..1:0", "search space of a is empty"),
        ("a=0..1:5", "larger than its range"),
        ("a=x..2", "must give numbers"),
        ("a=0..inf", "must give numbers"),
        ("a=0..1:log", "can't be logarithmic"),
    ],
)
def test_faulty_words(word: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        parse_dimension(word)


def test_keys_are_checked_against_the_project() -> None:
    def check(*words: str) -> None:
        check_space(parse_space(words), Project, {})

    check("finetune.loop.lr=1e-4..1e-1:log", "boxes.delta=[auto, 1.5]")
    c, epochs = check_space(parse_space(["boxes.c=0..1", "finetune.loop.epochs=1..3"]), Project, {})
    assert not c.whole  # although written in whole numbers
    assert epochs.whole
    for words, told in [
        (["finetune.loop.learning_rate=[1]"], 'unknown key "finetune.loop.learning_rate"; '),
        (["boxes.c=0..9"], '"boxes.c": must be 2.0 or less'),
        (["scaling.workers=[1, 2]"], "scaling.workers decides no result"),
        ([], "search space is empty"),
        (["seed=[1]", "seed=[2]"], "names seed twice"),
    ]:
        with pytest.raises(UserError, match=told):
            check(*words)


def test_grid_is_every_combination_once() -> None:
    points = list(grid(parse_space(["a.b=[x, y]", "c=0..1:0.25", "d=1..3"])))
    assert len(points) == 2 * 5 * 3 == len({tuple(p.values()) for p in points})
    assert points[0] == {"a.b": "x", "c": 0.0, "d": 1}
    assert nested(points[-1]) == {"a": {"b": "y"}, "c": 1.0, "d": 3}
    with pytest.raises(UserError, match="needs values or a step"):
        grid(parse_space(["c=0..1.5"]))
    with pytest.raises(UserError, match="more than 1,000,000"):
        grid(parse_space(["a=1..2000", "b=1..2000"]))
    with pytest.raises(UserError, match="more than 1,000,000"):  # told before a list of them is made
        grid(parse_space(["seed=0..4000000000000"]))


def test_listed_words_and_numbers_are_told_apart() -> None:
    listed = parse_dimension("a=[1, true, x]")
    assert [listed.parameter(value) for value in (1, True, "x")] == [0, 1, 2]
    with pytest.raises(ValueError, match="is not among"):
        listed.parameter(False)


@given(
    word=st.sampled_from(
        [
            *("a=[1, 2, 30]", "a=[x, null, [1, 2]]", "a=1..9", "a=0..1:0.1", "a=1e-5..1:log"),
            *("a=1e-15..1e-12:log", "a=0..1e-12:1e-13", "a=0.123456789012..0.123456789013"),
        ]
    ),
    seed=st.integers(0, 99),
)
def test_what_optuna_draws_is_in_the_space_and_goes_back(word: str, seed: int) -> None:
    dimension = parse_dimension(word)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    parameter = study.ask({"a": dimension.distribution()}).params["a"]
    value = dimension.value(parameter)
    if dimension.values is not None:
        assert value in dimension.values
        assert dimension.parameter(value) == parameter
    else:
        assert dimension.low <= value <= dimension.high
        assert isinstance(value, int) == dimension.whole
        assert math.isclose(dimension.parameter(value), parameter, rel_tol=1e-6, abs_tol=1e-9)
        assert parameter == 0 or math.isclose(value, parameter, rel_tol=1e-5)
