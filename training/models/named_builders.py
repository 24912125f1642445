"""Builders kept by name, as the adapters of backbones, detectors and segmenters register theirs."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from training.models.names import Adapter

BuilderT = TypeVar("BuilderT", bound=Callable[..., Any])


def adding(
    table: dict[str, Any], adapters: dict[str, Adapter], names: tuple[str, ...], kind: str
) -> Callable[[BuilderT], BuilderT]:
    """A decorator that puts its builder into `table` under `names`, and new names among the adapters.

    Args:
        table: builders by name.
        adapters: all names that a config may use.
        names: the names to add.
        kind: what they build, in the plural, for the message.

    Raises:
        ValueError: by the decorator, a name is taken.
    """

    def add(builder: BuilderT) -> BuilderT:
        adapter = Adapter(builder.__module__, bool(getattr(builder, "weighs_boxes", False)))
        for name in names:
            if name in table:
                raise ValueError(f"two {kind} are named {name}")
            table[name] = builder
            adapters.setdefault(name, adapter)
        return builder

    return add


def builder_of(table: dict[str, Any], name: str, adapter: Adapter) -> Any:
    """The builder of a name; its adapter is imported first where it has not been yet."""
    if name not in table:
        import_module(adapter.module)
    return table[name]
