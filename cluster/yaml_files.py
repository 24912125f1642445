"""YAML as people write it, read with limits: unique keys, no aliases, one mapping."""

from pathlib import Path
from typing import Any

import yaml

from cluster.errors import UserError

MAX_CONFIG_BYTES = 1 << 20


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe loader that refuses a key written twice and aliases (which can blow up a small file)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.YAMLError("a key must be a plain word")
            if key in seen:
                raise yaml.YAMLError(f'key "{key}" is written twice')
            seen.add(key)
        return super().construct_mapping(node, deep)


class _TextLoader(_UniqueKeyLoader):
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
        UserError: not YAML, or not a mapping; the message names `source`.
    """
    try:
        document = yaml.load(text, Loader=_TextLoader if as_written else _UniqueKeyLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{source} is not valid YAML: {reason}; correct the file.") from None
    if document is None or document == "":
        return {}
    if not isinstance(document, dict):
        raise UserError(f"{source} must hold a mapping of sections, not a {type(document).__name__}.")
    return document


def read_config_file(path: Path) -> dict[str, Any]:
    """Read a YAML config file (at most 1 MiB).

    Raises:
        UserError: missing, unreadable, too large, not YAML.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise UserError(f"Config file {path} is larger than 1 MiB; is it really a config?")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"Config file {path} can't be read: {reason}.") from None
    return parse_yaml(text, f"Config file {path}")
