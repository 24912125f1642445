"""Typed configuration: YAML files, recipes and `section.key=value` overrides into frozen models."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.errors import UserError, nearest
from cluster.secret_uris import refuse_secrets_in


class Section(BaseModel):
    """Base of every config section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


Model = TypeVar("Model", bound=Section)
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


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """Parse one YAML mapping.

    Raises:
        UserError: not YAML, or not a mapping; the message names `source`.
    """
    try:
        document = yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{source} is not valid YAML: {reason}; correct the file.") from None
    if document is None:
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


def recipes() -> dict[str, dict[str, Any]]:
    """The shipped recipes by name, e.g. `demo`, `magnetic-tile`."""
    folder = resources.files("training") / "recipes"
    found: dict[str, dict[str, Any]] = {}
    for entry in folder.iterdir():
        if entry.name.endswith(".yaml"):
            found[entry.name.removesuffix(".yaml")] = parse_yaml(entry.read_text("utf-8"), entry.name)
    return found


def recipe_notes() -> dict[str, str]:
    """What each shipped recipe is for: the comment that its file begins with, in one paragraph."""
    folder = resources.files("training") / "recipes"
    notes = {}
    for name in sorted(recipes()):
        lines = (folder / f"{name}.yaml").read_text("utf-8").splitlines()
        comment = takewhile(lambda line: line.startswith("#"), lines)
        notes[name] = " ".join(line.removeprefix("#").strip() for line in comment)
    return notes


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge of two nested mappings; `over` wins, lists are replaced whole."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def parse_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """Turn `section.key=value` words into a nested mapping; values are read as YAML.

    Raises:
        UserError: a word without `=`, or an empty key.
    """
    nested: dict[str, Any] = {}
    for word in overrides:
        dotted, equals, raw = word.partition("=")
        keys = dotted.split(".")
        if not equals or not all(keys):
            raise UserError(f'Override "{word}" must read section.key=value.')
        try:
            value = yaml.load(raw, Loader=_UniqueKeyLoader)
        except (yaml.YAMLError, ValueError, RecursionError):
            value = raw
        leaf: dict[str, Any] = {}
        cursor = leaf
        for key in keys[:-1]:
            cursor[key] = {}
            cursor = cursor[key]
        cursor[keys[-1]] = value
        nested = merge(nested, leaf)
    return nested


def validate(model: type[Model], document: Mapping[str, Any], source: str) -> Model:
    """Build a config model, telling the first mistake as one sentence with its dotted path.

    Raises:
        UserError: unknown key (with the nearest valid one), wrong type or value out of range.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = [str(part) for part in first["loc"]]
        dotted = ".".join(path)
        if first["type"] == "extra_forbidden":
            valid = _valid_keys(model, path[:-1])
            raise UserError(f'{source}: unknown key "{dotted}"; {nearest(path[-1], valid)}') from None
        message = first["msg"].removeprefix("Value error, ")
        given = first.get("input")
        shown = f" (given: {str(given)[:60]!r})" if not isinstance(given, Mapping) else ""
        where = f'"{dotted}": ' if dotted else ""
        raise UserError(f"{source}: {where}{message}{shown}.") from None


def _valid_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Field names of the (nested) model that `path` leads to."""
    for part in path:
        if part.isdigit():  # a place in a list, whose items' model was found at the part before
            continue
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if get_origin(annotation) is tuple:
            annotation = get_args(annotation)[0]
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def merged(
    configs: Iterable[str], overrides: Iterable[str], base: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """What `load` validates, as nested mappings, and what messages call it.

    Raises:
        UserError: see `read_config_file`, `parse_overrides`; unknown recipe; a URI with a password or key
            in it.
    """
    document: dict[str, Any] = dict(base)
    source = "Config"
    for config in configs:
        if config.startswith("recipe:"):
            name = config.removeprefix("recipe:")
            shipped = recipes()
            if name not in shipped:
                raise UserError(f'There is no recipe "{name}"; {nearest(name, shipped)}')
            document, source = merge(document, shipped[name]), f"Recipe {name}"
        else:
            document, source = merge(document, read_config_file(Path(config))), f"Config file {config}"
    document = merge(document, parse_overrides(overrides))
    refuse_secrets_in(document)  # the config is kept in stage.json and in MLflow
    return document, source


def load(
    model: type[Model], configs: Iterable[str], overrides: Iterable[str], base: Mapping[str, Any]
) -> Model:
    """The config of a command: `base`, then files and recipes (a later one wins), then the overrides.

    Args:
        model: the project's config class.
        configs: paths of YAML files, or `recipe:NAME`; e.g. a project and what `tune thresholds` chose.
        overrides: `section.key=value` words.
        base: values under everything else (a recipe a command implies).

    Raises:
        UserError: see `merged` and `validate`.
    """
    document, source = merged(configs, overrides, base)
    return validate(model, document, source)


def load_words(model: type[Model], words: Sequence[str] | None, base: Mapping[str, Any]) -> Model:
    """The config that a command line's words describe.

    Args:
        model: the config's class.
        words: see `split_words`.
        base: values under everything else.

    Raises:
        UserError: see `load`.
    """
    return load(model, *split_words(words), base)


def split_words(words: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Configs (paths or `recipe:NAME`), and `section.key=value` overrides, of a command line's words."""
    given = words or []
    return [word for word in given if "=" not in word], [word for word in given if "=" in word]
