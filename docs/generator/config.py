"""The reference of the configuration, from the pydantic sections and their docstrings."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cluster.config import Section
from docs.generator.cli import cell
from docs.generator.docstrings import attributes, parse
from training.project import Project
from tuning.forecast import ForecastSection
from tuning.gain import GainSection
from tuning.transfer import TransferSection

INTRO = """# Configuration

Made from the code by `python -m docs.generator`. One YAML file describes a project; every command takes it,
and any key as `section.key=value` on the command line. Keys not given have the defaults below. An unknown key
is answered with the nearest valid one, before anything is started.

`NAME` in a key stands for a name of your own, `N` for a place in a list. The last sections are those of
studies: from `transfer` on of `agssp study transfer`, `gain` of `agssp study gain`, `forecast` of
`agssp forecast`.
"""
BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("multiple_of", "a multiple of"))


def config_page() -> str:
    """The page, Markdown."""
    studies: dict[str, type[Section]] = {
        "transfer": TransferSection,
        "gain": GainSection,
        "forecast": ForecastSection,
    }
    pages = [line for prefix, model in studies.items() for line in _sections(prefix, model)]
    return "\n".join([INTRO, *_sections("", Project), *pages])


def keys(model: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key below a section with its field, sections' own fields left out."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        inner = _inner(field.annotation)
        if inner is None:
            yield path, field
        else:
            yield from keys(inner[0], f"{path}{inner[1]}.")


def _sections(prefix: str, model: type[Section]) -> Iterator[str]:
    yield _section(prefix, model)
    for name, field in model.model_fields.items():
        inner = _inner(field.annotation)
        if inner is not None:
            yield from _sections(".".join(filter(None, [prefix, f"{name}{inner[1]}"])), inner[0])


def _section(prefix: str, model: type[Section]) -> str:
    title = f"`{prefix}`" if prefix else "The project"
    meanings = _meanings(model)
    rows = [_row(prefix, model, name, field, meanings) for name, field in model.model_fields.items()]
    head = [f"## {title}", "", parse(model.__doc__).summary, ""]
    return "\n".join([*head, "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _row(prefix: str, model: type[Section], name: str, field: FieldInfo, meanings: dict[str, str]) -> str:
    path = ".".join(filter(None, [prefix, name]))
    inner = _inner(field.annotation)
    meaning = field.description or meanings.get(name)
    if inner is not None:
        link = f"{path}{inner[1]}"
        of_its_own = meaning and list(meanings.values()).count(meaning) == 1 and "see there" not in meaning
        summary = meaning if of_its_own else parse(inner[0].__doc__).summary
        default = "none" if field.default is None or field.default in ((), {}) else ""
        return f"| `{path}` | section | {default} | {cell(summary or '')} See [`{link}`](#{slug(link)}) |"
    if meaning is None:
        raise ValueError(f"{model.__module__}.{model.__name__}.{name} has no meaning; say it in Attributes")
    return f"| `{path}` | {cell(_kind(field))} | {cell(_default(field))} | {cell(meaning)} |"


def slug(heading: str) -> str:
    """A heading's anchor, as Git hosts and MyST make it."""
    return "".join(sign for sign in heading.lower() if sign.isalnum() or sign in "-_ ").replace(" ", "-")


def _meanings(model: type[Section]) -> dict[str, str]:
    meanings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, Section) and base is not Section:
            meanings |= attributes(base.__doc__)
    return meanings


def _inner(annotation: Any) -> tuple[type[Section], str] | None:
    """The section that a field holds, and what stands between the keys: nothing, `.N` or `.NAME`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, ""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (types.UnionType, Union):
        sections = [inner for inner in map(_inner, arguments) if inner is not None]
        return sections[0] if sections else None
    if origin in (tuple, dict):
        inner = _inner(arguments[0 if origin is tuple else 1])
        return (inner[0], f".{'N' if origin is tuple else 'NAME'}") if inner else None
    return None


def _kind(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {_number(value)}"
        for name, sign in BOUNDS
        for item in field.metadata
        if (value := getattr(item, name, None)) is not None
    ]
    return ", ".join([_type(field.annotation), *bounds])


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (types.UnionType, Union):
        return " or ".join(dict.fromkeys(map(_type, arguments)))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"list of {_type(arguments[0])}"
        return f"[{', '.join(map(_type, arguments))}]"
    if origin is dict:
        return f"{_type(arguments[0])} → {_type(arguments[1])}"
    words = {str: "text", int: "number", float: "number", bool: "true, false", type(None): "null"}
    return words[annotation]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, dict):
        return "`{" + ", ".join(f"{name}: {item}" for name, item in value.items()) + "}`"
    return f"`{_number(value)}`"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
