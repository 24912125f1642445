"""Search spaces: `KEY=[a, b]`, `KEY=LOW..HIGH`, `LOW..HIGH:STEP` or `LOW..HIGH:log` over config keys."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
import yaml

from cluster.config import Model, merge, validate
from cluster.errors import UserError
from cluster.yaml_files import MAX_DIGITS, parse_word

NO_RESULT = ("workspace", "name", "ray", "tracking", "scaling", "report")  # sections that decide no result
MAX_GRID = 1_000_000
STEPS = 1e-9  # tolerance for rounding when a range's steps are counted


@dataclass(frozen=True)
class Dimension:
    """One searched config key.

    Attributes:
        key: dotted config key.
        values: values to try, in order; None for a range.
        low, high: ends of a range, both included; the range has whole numbers when both ends and the step are
            whole.
        step: distance between values; None allows any value between (or any whole one).
        log: whether values are spread evenly in the logarithm.
    """

    key: str
    values: tuple[Any, ...] | None = None
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether a range has whole numbers only."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))

    def document(self) -> dict[str, Any]:
        """The dimension as JSON-able data, to compare it with the one that a study began with."""
        if self.values is not None:
            return {"values": list(self.values)}
        return {"low": self.low, "high": self.high, "step": self.step, "log": self.log}

    def text(self) -> str:
        """The dimension as a user writes it."""
        if self.values is not None:
            return f"{self.key}={json.dumps(list(self.values))}"
        suffix = ":log" if self.log else f":{_exact(self.step)}" if self.step is not None else ""
        return f"{self.key}={_exact(self.low)}..{_exact(self.high)}{suffix}"

    def distribution(self) -> optuna.distributions.BaseDistribution:
        """Optuna's distribution; of listed values it has the index, ordered where they are rising numbers."""
        if self.values is not None:
            last = len(self.values) - 1
            if last and _rising(self.values):
                return optuna.distributions.IntDistribution(0, last)
            return optuna.distributions.CategoricalDistribution(tuple(range(last + 1)))
        if self.whole:
            return optuna.distributions.IntDistribution(
                int(self.low), int(self.high), log=self.log, step=int(self.step or 1)
            )
        return optuna.distributions.FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def value(self, parameter: Any) -> Any:
        """The config's value of an Optuna parameter."""
        if self.values is not None:
            return self.values[parameter]
        if not isinstance(parameter, float):
            return parameter
        # Ten places make 0.3 of 0.1 + 0.2; numbers below 1e-4 keep seven digits, or 1e-12 would be 0.
        size = self.step or abs(parameter)
        places = max(10, 6 - math.floor(math.log10(size))) if size else 10
        return min(max(round(parameter, places), self.low), self.high)

    def parameter(self, value: Any) -> Any:
        """Inverse of `value`.

        Raises:
            ValueError: the value is not in the space.
        """
        if self.values is not None and not any(_same(each, value) for each in self.values):
            raise ValueError(f"{value} is not among {self.text()}")
        if self.values is not None:
            return next(place for place, each in enumerate(self.values) if _same(each, value))
        if not (isinstance(value, int | float) and self.low <= value <= self.high):
            raise ValueError(f"{value} is not within {self.text()}")
        return value

    def count(self) -> int:
        """Number of a grid's values over this dimension.

        Raises:
            UserError: a range without steps has no such list.
        """
        if self.values is not None:
            return len(self.values)
        if self.low == self.high:
            return 1
        if self.step is None and not self.whole:
            raise UserError(
                f"A grid needs values or a step for {self.key}; write {self.key}=[…] or "
                f"{self.key}={self.low:g}..{self.high:g}:STEP."
            )
        return math.floor((self.high - self.low) / (self.step or 1) + STEPS) + 1

    def points(self) -> tuple[Any, ...]:
        """All values of a grid over this dimension; of a long one `grid` proves first that they are few.

        Raises:
            UserError: see `count`.
        """
        if self.values is not None:
            return self.values
        return tuple(self.value(self.low + n * (self.step or 1)) for n in range(self.count()))


def _exact(number: float) -> str:
    """A number in short, but never as another one: two spaces of one text would be taken for one search."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _same(one: Any, other: Any) -> bool:
    """Whether two listed values are one: 1 and 1.0 are, 1 and true are not."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _rising(values: Sequence[Any]) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and all(a < b for a, b in itertools.pairwise(values))


def parse_dimension(word: str) -> Dimension:
    """One search word.

    Raises:
        UserError: the word has another form, or its list or range is empty.
    """
    key, equals, raw = word.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f'Search "{word}" must read KEY=[a, b, …] or KEY=LOW..HIGH (with :STEP or :log).')
    if ".." in raw:
        return _range(key, raw, word)
    values = parse_word(raw, f"Search {key}")
    if not isinstance(values, list):
        raise UserError(f'Search "{word}" must list values, {key}=[a, b, …], or give a range, LOW..HIGH.')
    if not values:
        raise UserError(f"The search space of {key} is empty; give at least one value, {key}=[a, b, …].")
    if any(_same(one, other) for one, other in itertools.combinations(values, 2)):
        raise UserError(f"The search space of {key} lists a value twice; give each once.")
    return Dimension(key, tuple(values))


def _range(key: str, raw: str, word: str) -> Dimension:
    ends, _, suffix = raw.partition(":")
    low, high = (_number(text) for text in ends.split("..", 1))
    step = None if suffix in ("", "log") else _number(suffix)
    if low is None or high is None or (suffix not in ("", "log") and step is None):
        raise UserError(f'Search "{word}" must give numbers, {key}=LOW..HIGH, perhaps with :STEP or :log.')
    if low > high or (step is not None and step <= 0):
        raise UserError(f"The search space of {key} is empty: {raw}; give LOW ≤ HIGH and a step above 0.")
    if suffix == "log" and low <= 0:
        raise UserError(f"The search space of {key} can't be logarithmic from {low:g}; start above 0.")
    if step is not None and step > high - low > 0:
        raise UserError(f"The step of {key}, {step:g}, is larger than its range {low:g}..{high:g}; lower it.")
    return Dimension(key, None, low, high, step, log=suffix == "log")


def _number(text: str) -> float | None:
    if len(text) > MAX_DIGITS:
        return None
    try:
        return int(text)
    except ValueError:
        try:
            value = float(text)
        except ValueError:
            return None
        return value if math.isfinite(value) else None


def parse_space(words: Iterable[str]) -> tuple[Dimension, ...]:
    """The dimensions of search words, each key once.

    Raises:
        UserError: see `parse_dimension`; a key twice.
    """
    space = tuple(parse_dimension(word) for word in words)
    keys = [dimension.key for dimension in space]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"The search space names {twice[0]} twice; give each key once.")
    return space


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    document: dict[str, Any] = {}
    for key, value in values.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        document = merge(document, value)
    return document


def check_space(
    space: Sequence[Dimension], model: type[Model], document: Mapping[str, Any]
) -> tuple[Dimension, ...]:
    """Prove, key by key, that the config takes every value, or both ends of a range.

    Returns:
        The space; `0..1` becomes a range of fractions where the key takes fractions.

    Raises:
        UserError: there is no key, a key is unknown or decides no result, or a value is out of range.
    """
    if not space:
        raise UserError("The search space is empty; give at least one --search KEY=[a, b, …].")
    for dimension in space:
        if dimension.key.split(".")[0] in NO_RESULT:
            raise UserError(
                f"{dimension.key} decides no result, so there is nothing to search; leave it out."
            )
        ends = dimension.values if dimension.values is not None else (dimension.low, dimension.high)
        for value in ends:
            validate(model, merge(document, nested({dimension.key: value})), "Search space")
    return tuple(_fractional(dimension, model, document) for dimension in space)


def _fractional(dimension: Dimension, model: type[Model], document: Mapping[str, Any]) -> Dimension:
    if dimension.values is not None or not dimension.whole or dimension.step is not None:
        return dimension
    between = min(dimension.low + 0.5, dimension.high - 1e-6)
    try:
        validate(model, merge(document, nested({dimension.key: between})), "Search space")
    except UserError:
        return dimension
    return replace(dimension, low=float(dimension.low), high=float(dimension.high))


def size_of(space: Sequence[Dimension]) -> int | None:
    """Number of combinations; None where a range has no steps."""
    if any(d.values is None and d.step is None and not d.whole and d.low < d.high for d in space):
        return None
    return math.prod(dimension.count() for dimension in space)


def grid(space: Sequence[Dimension]) -> Iterator[dict[str, Any]]:
    """Every combination, the last key fastest.

    Raises:
        UserError: a range without a step, or more than a million combinations.
    """
    if math.prod(dimension.count() for dimension in space) > MAX_GRID:
        raise UserError(f"The grid has more than {MAX_GRID:,} combinations; give fewer values.")
    points = [dimension.points() for dimension in space]
    keys = [dimension.key for dimension in space]
    return (dict(zip(keys, values, strict=True)) for values in itertools.product(*points))


def patch_text(values: Mapping[str, Any], comment: str) -> str:
    """The chosen values as YAML, with one comment line above."""
    return f"# {comment}\n" + yaml.safe_dump(nested(values), sort_keys=False)
