"""When two names mean the same category: `Magnetic-Tile`, `magnetic tile` and `magnetic_tile` do."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

from cluster.errors import UserError

Value = TypeVar("Value")

_SEPARATORS = re.compile(r"[\s_\-]+")


def category_key(name: str) -> str:
    """The form in which category names are compared.

    Lower case; every run of spaces, hyphens and underscores is one `_`, with none at the ends; letters that
    Unicode writes in several ways are written in one (NFKC). Nothing else is changed: `magnetictile` and
    `magnetic.tile` are other categories.

    Returns:
        The key; empty for a name of separators alone. The key of a key is the key itself.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return _SEPARATORS.sub("_", folded).strip("_")


def by_key(entries: Mapping[str, Value], source: str) -> dict[str, Value]:
    """The same entries under their names' keys, in order.

    Args:
        entries: entries by category name, in any spelling.
        source: place where they were written, for the message.

    Raises:
        UserError: a name without a letter or digit, or two names of one category.
    """
    keyed: dict[str, Value] = {}
    written: dict[str, str] = {}
    for name, entry in entries.items():
        key = category_key(name)
        if not key:
            raise UserError(f'{source}: "{name}" is no category name; it needs a letter or a digit.')
        if key in keyed:
            raise UserError(
                f'{source}: "{written[key]}" and "{name}" are names of one category ({key}), so which '
                "entry is meant is ambiguous; keep one."
            )
        keyed[key], written[key] = entry, name
    return keyed


def find_category(name: str, known: Iterable[str], source: str) -> str | None:
    """The known name that is meant: the same one, else the one with the same key.

    Args:
        name: category name in any spelling.
        known: the categories' own names, e.g. of folders.
        source: place where `name` was written, for the message.

    Returns:
        The known name, or None.

    Raises:
        UserError: several known names have its key and none is the same.
    """
    names = sorted(set(known))
    if name in names:
        return name
    meant = [other for other in names if category_key(other) == category_key(name)]
    if len(meant) > 1:
        choices = " or ".join(f'"{other}"' for other in meant[:5])
        raise UserError(f'{source}: "{name}" is ambiguous; write {choices}.')
    return meant[0] if meant else None
