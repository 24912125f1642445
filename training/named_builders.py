"""Builders kept by name, as detectors' and segmenters' adapters register theirs."""

from collections.abc import Callable
from typing import Any, TypeVar

BuilderT = TypeVar("BuilderT", bound=Callable[..., Any])


def adding(table: dict[str, Any], names: tuple[str, ...], kind: str) -> Callable[[BuilderT], BuilderT]:
    """A decorator that puts its builder into `table` under `names`.

    Args:
        table: builders by name.
        names: to add.
        kind: what they build, in the plural, for the message.

    Raises:
        ValueError: by the decorator, a name is taken.
    """

    def add(builder: BuilderT) -> BuilderT:
        for name in names:
            if name in table:
                raise ValueError(f"two {kind} are named {name}")
            table[name] = builder
        return builder

    return add
