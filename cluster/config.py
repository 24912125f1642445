"""Typed configuration: YAML files, recipes and `section.key=value` overrides into frozen models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from cluster.config_paths import FOLDER
from cluster.errors import UserError, nearest
from cluster.fault_words import first_fault
from cluster.recipes import recipes
from cluster.storage import refuse_secrets_in
from cluster.yaml_files import parse_word, read_config_file


class Section(BaseModel):
    """Base of every config section: frozen.

    An unknown key is an error, and so are NaN, infinities, and `yes` or `true` where a number belongs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic takes True for 1."""
        field = cls.model_fields[str(info.field_name)]
        kinds = set(_kinds(field.annotation)) if _holds_truth(value) else set()
        if kinds & {int, float} and not kinds & {bool, Any, True, False}:
            raise ValueError("must be a number" if isinstance(value, bool) else "must hold numbers")
        return value


def _holds_truth(value: Any) -> bool:
    """Whether a value is True or False, or a list that has one."""
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(map(_holds_truth, value)))


def _kinds(annotation: Any) -> Iterable[Any]:
    """The types and literal values within an annotation."""
    yield annotation
    for part in get_args(annotation):
        if isinstance(part, type) or get_origin(part) is not None or part in (Any, True, False):
            yield from _kinds(part)


@dataclass(frozen=True)
class Source:
    """Where a document comes from, for the message that blames it.

    Attributes:
        name: the last config under the overrides, e.g. `Config file a.yaml`.
        overrides: dotted keys of the overrides.
    """

    name: str
    overrides: tuple[str, ...] = ()

    def override(self, dotted: str, inner: bool, deep: bool) -> str | None:
        """The full key of the override that set the value at `dotted`.

        Args:
            dotted: key of the value at fault.
            inner: whether an override of a part of that value may be to blame.
            deep: whether `dotted` is a key in the document; types of a union stand there, too.
        """
        for key in reversed(self.overrides):  # the last one wins
            if dotted == key or dotted.startswith(f"{key}."):
                return dotted if deep else key
            if inner and key.startswith(f"{dotted}."):
                return key
        return None


Model = TypeVar("Model", bound=Section)
DEFAULT_WORKSPACE = "workspace"
MAX_SHOWN = 200  # characters of a key in a message
MAX_DEPTH = 50  # parts of an override's key


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge of two nested mappings; `over` wins, lists are replaced whole."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def section_of(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A section of a document that no model has checked yet; empty where it is not there.

    Raises:
        UserError: it is no mapping.
    """
    section = document.get(key)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise UserError(f'Config: "{key}" must hold settings (given: {str(section)[:60]!r}).')
    return section


def parse_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """Turn `section.key=value` words into a nested mapping; values are read as YAML.

    Raises:
        UserError: a word without `=`, an empty key, or a value that no config takes.
    """
    nested: dict[str, Any] = {}
    for word in overrides:
        dotted, equals, raw = word.partition("=")
        keys = dotted.split(".")
        if not equals or not all(keys) or len(keys) > MAX_DEPTH:
            raise UserError(f'Override "{word[:200]}" must read section.key=value.')
        value = parse_word(raw, f"Override {dotted}")
        leaf: dict[str, Any] = {}
        cursor = leaf
        for key in keys[:-1]:
            cursor[key] = {}
            cursor = cursor[key]
        cursor[keys[-1]] = value
        nested = merge(nested, leaf)
    return nested


def validate(
    model: type[Model], document: Mapping[str, Any], source: Source | str, folder: str | None = None
) -> Model:
    """Build a config model, telling the first mistake as one sentence with its dotted path.

    Args:
        model: the config's class.
        document: nested mappings.
        source: what messages call it; an override at fault is called by its full key.
        folder: where relative paths start; None takes the working directory.

    Raises:
        UserError: unknown key (with the nearest valid one), wrong type or value out of range.
    """
    try:
        return model.model_validate(document, context={FOLDER: folder})
    except ValidationError as error:
        faults = error.errors(include_url=False)
        first = faults[0]
        path, message = first_fault(faults, document)
        dotted = ".".join(path)
        origin = source if isinstance(source, Source) else Source(source)
        # A section that is checked as a whole may be wrong by what a file says beside the override.
        inner = first["type"] not in ("value_error", "assertion_error")
        blamed = origin.override(dotted, inner, deep=_stands_in(document, path))
        if first["type"] == "extra_forbidden":
            known = nearest(path[-1][:MAX_SHOWN], _valid_keys(model, path[:-1]))
            if blamed is not None:
                raise UserError(f"Override {blamed[:MAX_SHOWN]}: unknown key; {known}") from None
            raise UserError(f'{origin.name}: unknown key "{dotted[:MAX_SHOWN]}"; {known}') from None
        value = first.get("input")
        given = "nothing" if value is None else repr(str(value)[:60])
        excerpt = f" (given: {given})" if not isinstance(value, Mapping) else ""
        if blamed is not None:
            raise UserError(f"Override {blamed[:MAX_SHOWN]}: {message}{excerpt}.") from None
        where = f'"{dotted[:MAX_SHOWN]}": ' if dotted else ""
        raise UserError(f"{origin.name}: {where}{message}{excerpt}.") from None


def _stands_in(document: Any, path: Sequence[str]) -> bool:
    """Whether a document has a value at a path."""
    for part in path:
        if isinstance(document, Mapping) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return False
    return True


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
) -> tuple[dict[str, Any], Source]:
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
    words = list(overrides)
    document = merge(document, parse_overrides(words))
    refuse_secrets_in(document)  # the config is kept in stage.json and in MLflow
    return document, Source(source, tuple(word.partition("=")[0] for word in words))


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
    all_words = words or []
    return [word for word in all_words if "=" not in word], [word for word in all_words if "=" in word]
