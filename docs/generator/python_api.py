"""The reference of the Python API, from the names that `agssp` exports and their docstrings."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from pydantic import BaseModel

import agssp
from docs.generator.docstrings import markdown

INTRO = """# Python API

Made from the code by `python -m docs.generator`; [the how-to](../howto/python.md) shows it at work. All of
it is had by `import agssp`; what is behind a name is loaded when it is used. The packages carry types.
"""


def python_page() -> str:
    """The page, Markdown."""
    parts = [INTRO]
    for name in (name for names in agssp.API.values() for name in names):
        thing = getattr(agssp, name)
        parts.append(
            _class(name, thing) if isinstance(thing, type) else _function(f"## `{name}`", name, thing)
        )
    return "\n".join(parts)


def _function(heading: str, name: str, thing: Any) -> str:
    return "\n".join(
        [heading, "", "```text", _signature(name, thing), "```", "", markdown(thing.__doc__), ""]
    )


def _class(name: str, thing: type) -> str:
    lines = [f"## `{name}`", ""]
    if (
        "__init__" in vars(thing)
        and not issubclass(thing, BaseException)
        and "__dataclass_fields__" not in vars(thing)
    ):
        lines += ["```text", _signature(name, vars(thing)["__init__"]), "```", ""]
    lines += [markdown(thing.__doc__), ""]
    if issubclass(thing, BaseModel):  # its fields are the configuration's
        return "\n".join([*lines, "Its fields: [configuration](config.md).", ""])
    return "\n".join([*lines, *_members(name, thing)])


def _members(name: str, thing: type) -> Iterator[str]:
    for member, value in vars(thing).items():
        if member.startswith("_") and member != "__call__":
            continue
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if inspect.isfunction(function) and function.__doc__:
            call = f"{name}.{member}" if member != "__call__" else f"{name.lower()}"
            yield _function(f"### `{name}.{member}`", call, function)
        elif isinstance(value, property | cached_property) and value.__doc__:
            yield "\n".join([f"### `{name}.{member}` (property)", "", markdown(value.__doc__), ""])


def _signature(name: str, function: Any) -> str:
    """The signature as the source has it, `self` left out."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"{name} is no function")
    arguments = node.args
    arguments.args = [argument for argument in arguments.args if argument.arg not in {"self", "cls"}]
    returns = (
        f" -> {ast.unparse(node.returns)}" if node.returns is not None and node.name != "__init__" else ""
    )
    text = f"{name}({ast.unparse(arguments)}){returns}"
    if len(text) <= 100:
        return text
    parts = _arguments(arguments)
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){returns}"])


def _arguments(arguments: ast.arguments) -> list[str]:
    """One text an argument."""
    parts: list[str] = []
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults)) + list(
        arguments.defaults
    )
    parts += [_argument(argument, default) for argument, default in zip(plain, defaults, strict=True)]
    if arguments.vararg is not None:
        parts.append(f"*{ast.unparse(arguments.vararg)}")
    elif arguments.kwonlyargs:
        parts.append("*")
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return parts + [_argument(argument, default) for argument, default in keywords]


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(argument)
    return text if default is None else f"{text} = {ast.unparse(default)}"
