"""YAML as people write it, read with limits: unique keys, no aliases, plain values, one mapping."""

import re
from pathlib import Path
from typing import Any

import yaml

from cluster.errors import UserError

MAX_CONFIG_BYTES = 1 << 20
MAX_DIGITS = 100  # of a number; Python itself prints none of more than 4,300
_TAG = "tag:yaml.org,2002:"
_NUMBERS = (f"{_TAG}int", f"{_TAG}float")
_DATE = f"{_TAG}timestamp"
# What YAML 1.1 reads in base 8 or 60: 010 is 8, 1:30 is 90.
_ODD_NUMBER = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-9]{1,2})+(\.[0-9_]*)?)")
_PLAIN = {*_NUMBERS, _DATE, *(f"{_TAG}{name}" for name in ("null", "bool", "str", "seq", "map"))}


class ValueFault(yaml.YAMLError):
    """Well-formed YAML that holds what no config can.

    Args:
        key: dotted path of the value's key; empty at the top.
        line: line, from 1.
        what: what is wrong.
    """

    def __init__(self, key: str, line: int, what: str) -> None:
        super().__init__(f"{_quoted(key, ' on ')}line {line}: {what}")
        self.key, self.what = key, what


class PlainLoader(yaml.SafeLoader):
    """Safe loader of mappings, lists, text, numbers, booleans and nulls.

    It refuses keys written twice, aliases (which can blow up a small file), merges, tags of other kinds, and
    numbers and text that later steps can't print or store. A date is its text.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._above: dict[int, tuple[yaml.Node | None, Any]] = {}  # by the node's id: parent, place in it

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        node = super().compose_node(parent, index)
        if node is not None:
            self._above[id(node)] = (parent, index)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        self._check(node)
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        # What PyYAML's constructors of single values raise, which take the text to be of its tag's form.
        except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError):
            kind = node.tag.removeprefix(_TAG)
            raise self._fault(
                node, f"{_excerpt(node)} is no !!{kind}; put it into quotes if it is text"
            ) from None
        return node.value if node.tag == _DATE else value

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise self._fault(node, f"{_excerpt(node)} is no mapping")
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == f"{_TAG}merge":
                raise self._fault(key_node, "merges (<<) are not allowed; write the keys out")
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise self._fault(key_node, "a key must be a plain word")
            if key in seen:
                raise self._fault(key_node, f'key "{str(key)[:60]}" is written twice')
            seen.add(key)
        return super().construct_mapping(node, deep)

    def _check(self, node: yaml.Node) -> None:
        """Refuse a value before it is made."""
        if node.tag == f"{_TAG}value":  # what a lone = is
            node.tag = f"{_TAG}str"
        if node.tag not in _PLAIN:
            raise self._fault(node, f"the tag {node.tag.replace(_TAG, '!!')} is not allowed; leave it out")
        if not isinstance(node, yaml.ScalarNode):
            return
        if node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
            raise self._fault(
                node,
                f"a number of {len(node.value):,} characters is too long; put it into quotes if it is text",
            )
        if node.tag in _NUMBERS and _ODD_NUMBER.fullmatch(node.value):
            raise self._fault(
                node,
                f"{_excerpt(node)} is a number in base 8 or 60 to YAML; write it without a 0 in front or a "
                "colon, or put it into quotes if it is text",
            )
        if any("\ud800" <= character <= "\udfff" for character in node.value):
            raise self._fault(node, "half a character (\\ud800 to \\udfff) is no text")
        if "\0" in node.value:
            raise self._fault(node, "text can't hold a NUL character (\\0)")

    def _fault(self, node: yaml.Node, what: str) -> ValueFault:
        path: list[str] = []
        above: yaml.Node | None = node
        while above is not None:
            above, place = self._above.get(id(above), (None, None))
            if isinstance(place, int):
                path.append(str(place))
            elif isinstance(place, yaml.ScalarNode):
                path.append(place.value[:60])
        return ValueFault(".".join(reversed(path)), node.start_mark.line + 1, what)


def _quoted(key: str, then: str) -> str:
    return f'"{key}"{then}' if key else ""


def _excerpt(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f'"{node.value[:60]}"'
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


class _TextLoader(PlainLoader):
    """The same, but values without quotes are text too."""


_TextLoader.yaml_implicit_resolvers = {}


def parse_yaml(text: str, source: str, *, as_written: bool = False) -> dict[str, Any]:
    """Parse one YAML mapping.

    Args:
        text: the file's text.
        source: place where it was written, for the message.
        as_written: whether all keys and values stay text: names like `no`, `1_0` and `007`, which YAML takes
            for False, 10 and 7.

    Raises:
        UserError: not YAML, not a mapping, or a value that no config takes; the message names `source`, and
            of a value its key and line.
    """
    try:
        document = yaml.load(text, Loader=_TextLoader if as_written else PlainLoader)
    # Besides its own, PyYAML's scanner lets pass what an escape such as \UFFFFFFFF raises.
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        reason = (
            "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        )
        raise UserError(f"{source} is not valid YAML: {reason}; correct the file.") from None
    if document is None or document == "":
        return {}
    if not isinstance(document, dict):
        raise UserError(f"{source} must hold a mapping of sections, not a {type(document).__name__}.")
    return document


def parse_word(text: str, what: str) -> Any:
    """A value on a command line: YAML, or the text itself where it is none.

    Args:
        text: the value, as it was typed.
        what: what messages call it.

    Raises:
        UserError: YAML with a value that no config takes.
    """
    try:
        return yaml.load(text, Loader=PlainLoader)
    except ValueFault as fault:
        raise UserError(f"{what}: {_quoted(fault.key, ': ')}{fault.what}.") from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        return text


def read_config_file(path: Path) -> dict[str, Any]:
    """Read a YAML config file (UTF-8, at most 1 MiB).

    Raises:
        UserError: missing, unreadable, too large, not YAML.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise UserError(f"Config file {path} is larger than 1 MiB; is it really a config?")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or no path
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"Config file {path} can't be read: {reason}.") from None
    return parse_yaml(text, f"Config file {path}")
