"""Class names that differ in case and separators alone: mostly one class, written in two ways."""

import re
from collections import defaultdict
from collections.abc import Iterable

SEPARATORS = re.compile(r"[\s_-]+")
SHOWN = 5  # groups that are named


def alike_classes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of different names that are one without case and separators, sorted.

    Args:
        names: class names.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[SEPARATORS.sub("", name).casefold()].add(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def alike_text(groups: Iterable[tuple[str, ...]]) -> str:
    """The groups for people, e.g. `Dent = dent; Pit hole = pit_hole`."""
    told = [" = ".join(group) for group in groups]
    rest = f"; {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return "; ".join(told[:SHOWN]) + rest


def alike_sentence(text: str, labels: str) -> str:
    """What such names mean for trainings.

    Args:
        text: see `alike_text`.
        labels: name of the stage.
    """
    return (
        f"{labels}: class names that differ in case or separators alone are classes of their own, of which a "
        f"detector learns one not to be the other: {text}. Write them alike where they are one."
    )
