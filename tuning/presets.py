"""The presets of a study: shipped beside its code, the user's settings laid over them."""

from collections.abc import Mapping
from importlib import resources
from typing import Any, TypeVar

from cluster.config import Section, merge, validate
from cluster.errors import UserError, nearest
from cluster.yaml_files import parse_yaml

SectionT = TypeVar("SectionT", bound=Section)
FILE = "presets.yaml"


def shipped_preset(kind: type[SectionT], name: str, *, room: str, study: str) -> SectionT:
    """The preset of a name.

    Args:
        kind: the preset's model.
        name: its name in the room's `presets.yaml`.
        room: package that holds the file.
        study: what a message calls the study, as in "The gain study".

    Raises:
        UserError: there is none.
    """
    presets = parse_yaml((resources.files(room) / FILE).read_text("utf-8"), FILE)
    if name not in presets:
        raise UserError(f'{study} has no preset "{name}"; {nearest(name, presets)}')
    return validate(kind, presets[name], f"Preset {name}")


def over_preset(
    kind: type[SectionT], settings: Mapping[str, Any], words: Mapping[str, Any], key: str
) -> SectionT:
    """A preset's settings with the user's over them; the user's `starts` replace the preset's.

    Args:
        kind: the study's section.
        settings: the preset's.
        words: the user's.
        key: where they stand in a config, for messages.

    Raises:
        UserError: see `validate`.
    """
    base = {name: value for name, value in settings.items() if not (name == "starts" and words.get("starts"))}
    return validate(kind, merge(base, words), f"Config: {key}")
