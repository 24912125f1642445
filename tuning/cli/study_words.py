"""The words of a study's command: folders of images, configs, and the study's own settings among them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cluster.config import merged, section_of


class StudyWords(NamedTuple):
    """The words, told apart.

    Attributes:
        folders: folders of labelled images.
        settings: the study's own settings.
        project: all other settings.
    """

    folders: list[str]
    settings: Mapping[str, Any]
    project: Mapping[str, Any]


def is_config(word: str) -> bool:
    """Whether a word is a YAML file or recipe, and not a folder or an override."""
    return word.startswith("recipe:") or word.endswith((".yaml", ".yml"))


def study_words(words: Sequence[str] | None, key: str) -> StudyWords:
    """Tell a command's words apart.

    Args:
        words: as they were given.
        key: section of the study's own settings.

    Raises:
        UserError: see `merged` and `section_of`.
    """
    arguments = list(words or ())
    configs = [word for word in arguments if is_config(word)]
    overrides = [word for word in arguments if "=" in word and not is_config(word)]
    folders = [word for word in arguments if word not in configs and word not in overrides]
    document, _ = merged(configs, overrides, {})
    settings = section_of(document, key)
    return StudyWords(folders, settings, {name: part for name, part in document.items() if name != key})
