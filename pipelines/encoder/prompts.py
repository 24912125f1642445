"""The encoder's prompts for each category: photo templates, states, and the defects' looks."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field

from cluster.config import Section, merge, validate
from cluster.errors import UserError
from cluster.yaml_files import parse_yaml, read_config_file
from pipelines.category_names import by_key, category_key

# After WinCLIP's prompt ensemble, which the paper takes over (docs/method.md#prompts).
TEMPLATES: tuple[str, ...] = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of one {}.",
    "a close-up photo of a {}.",
    "a close-up photo of the {}.",
    "a cropped photo of a {}.",
    "a cropped photo of the {}.",
    "a bright photo of a {}.",
    "a bright photo of the {}.",
    "a dark photo of a {}.",
    "a dark photo of the {}.",
    "a blurry photo of a {}.",
    "a blurry photo of the {}.",
    "a low resolution photo of a {}.",
    "a low resolution photo of the {}.",
    "a good photo of a {}.",
    "a good photo of the {}.",
    "a black and white photo of the {}.",
    "a photo of a {} for visual inspection.",
    "a photo of the {} for visual inspection.",
    "a photo of the {} for anomaly detection.",
)
NORMAL_STATES: tuple[str, ...] = (
    "{}",
    "flawless {}",
    "perfect {}",
    "unblemished {}",
    "{} without any flaw",
    "{} without any defect",
    "{} without any damage",
)
ANOMALOUS_STATES: tuple[str, ...] = ("damaged {}", "{} with flaw", "{} with defect", "{} with damage")


# No encoder reads a tenth of it; tokenizers take the square of a word's letters.
MOST_LETTERS = 2000


class DefectPrompt(Section):
    """One defect type and how it looks.

    Attributes:
        type: the type's name, e.g. `crack`.
        features: its look, e.g. `a thin dark jagged line`.
    """

    type: str = Field(min_length=1, max_length=MOST_LETTERS)
    features: str = Field(min_length=1, max_length=MOST_LETTERS)


class CategoryPrompts(Section):
    """One category: the object's name in words, and its known defects.

    Attributes:
        object: the object's name in plain words, e.g. `steel sheet`.
        defects: its known defect types; the generic sentences find others.
    """

    object: str = Field(min_length=1, max_length=MOST_LETTERS)
    defects: tuple[DefectPrompt, ...] = ()


class PromptLibrary(Section):
    """Categories by their key (`category_key`), e.g. `magnetic_tile`."""

    categories: dict[str, CategoryPrompts] = Field(default_factory=dict)

    def category(self, name: str) -> CategoryPrompts:
        """The entry of a category, its name written in any way that has the same key.

        Raises:
            UserError: no such entry; names the nearest one and how to add it.
        """
        key = category_key(name)
        if key not in self.categories:
            close = difflib.get_close_matches(key, self.categories, n=1, cutoff=0.5)
            known = f'did you mean "{close[0]}"?' if close else '"agssp prompts list" shows those there are'
            raise UserError(
                f'There are no prompts for category "{name}" ({known}); add it to a prompt file under '
                f"categories.{name}, or to the config under maps.categories.{name}, with its object and "
                "defects."
            )
        return self.categories[key]

    def overlaid(self, categories: Mapping[str, CategoryPrompts], source: str) -> "PromptLibrary":
        """This library with entries added; they replace entries of the same key.

        Args:
            categories: entries by category name.
            source: place where they were written, for the message.

        Raises:
            UserError: see `by_key`.
        """
        return PromptLibrary(categories={**self.categories, **by_key(categories, source)})

    def only(self, keys: Iterable[str]) -> "PromptLibrary":
        """The entries of these keys alone.

        Raises:
            KeyError: a key is missing.
        """
        return PromptLibrary(categories={key: self.categories[key] for key in keys})


def load_library(*extra_paths: str | Path) -> PromptLibrary:
    """The shipped library, with the user's prompt files laid over it in turn.

    Args:
        extra_paths: YAML files of the shipped one's form: `categories: {NAME: {object, defects: [{type,
            features}]}}`. A category given again replaces the fields it names; lists are replaced whole.
            Names are compared by `category_key`.

    Raises:
        UserError: unreadable file, bad YAML, wrong type, unknown key, two names of one category.
    """
    document, library = _shipped_library()
    for path in extra_paths:
        document = merge(document, _keyed(read_config_file(Path(path)), f"Prompt file {path}"))
        library = validate(PromptLibrary, document, f"Prompt file {path}")
    return library


@cache
def _shipped_library() -> tuple[Mapping[str, Any], PromptLibrary]:
    """The library as written and as validated, parsed once a process: nearly a thousand lines of YAML."""
    source = resources.files("pipelines.encoder") / "prompt_library.yaml"
    document = parse_yaml(source.read_text("utf-8"), "The shipped prompt library")
    return document, validate(PromptLibrary, document, "The shipped prompt library")


def _keyed(document: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    categories = document.get("categories")
    if not isinstance(categories, Mapping) or not all(isinstance(name, str) for name in categories):
        return document  # validation says what is wrong
    return {**document, "categories": by_key(categories, source)}


def defect_sentence(object_name: str, defect: DefectPrompt) -> str:
    """The defect-features state: `{object} with {type} defect, it appears as {features}`."""
    return f"{object_name} with {defect.type} defect, it appears as {defect.features}"


@dataclass(frozen=True)
class PromptState:
    """One state of an object, and the sentences that are encoded for it.

    Attributes:
        words: the state in words, e.g. `flawless rail`.
        defect: the defect type it describes (DF); None for a generic state.
        sentences: the state in every template, in the templates' order.
    """

    words: str
    defect: str | None
    sentences: tuple[str, ...]


def prompt_states(
    prompts: CategoryPrompts, defect_features: bool
) -> tuple[list[PromptState], list[PromptState]]:
    """The prompt sets of a category by state (docs/method.md#prompts).

    Args:
        prompts: the category.
        defect_features: add one state per defect type to the anomalous set (DF).

    Returns:
        The normal and the anomalous states.
    """
    normal = [_state(state.replace("{}", prompts.object)) for state in NORMAL_STATES]
    anomalous = [_state(state.replace("{}", prompts.object)) for state in ANOMALOUS_STATES]
    if defect_features:
        anomalous += [
            _state(defect_sentence(prompts.object, defect), defect.type) for defect in prompts.defects
        ]
    return normal, anomalous


def sentences(prompts: CategoryPrompts, defect_features: bool) -> tuple[list[str], list[str]]:
    """The sentences of `prompt_states`, normal and anomalous: every state through every template."""
    normal, anomalous = (
        [sentence for state in states for sentence in state.sentences]
        for states in prompt_states(prompts, defect_features)
    )
    return normal, anomalous


def _state(words: str, defect: str | None = None) -> PromptState:
    # replace, not format: a user's text may hold braces.
    return PromptState(words, defect, tuple(template.replace("{}", words) for template in TEMPLATES))
