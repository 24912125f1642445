"""What the encoder is told of each category: photo templates, states, and the defects' looks."""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from pydantic import Field

from cluster.config import Section, merge, parse_yaml, read_config_file, validate
from cluster.errors import UserError, nearest

# After WinCLIP's prompt ensemble, which the paper takes over (METHOD.md, "Text").
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


class DefectPrompt(Section):
    """One defect type and how it looks, e.g. `crack`, `a thin dark jagged line`."""

    type: str = Field(min_length=1)
    features: str = Field(min_length=1)


class CategoryPrompts(Section):
    """One category: the object's name in words, and its known defects."""

    object: str = Field(min_length=1)
    defects: tuple[DefectPrompt, ...] = ()


class PromptLibrary(Section):
    """Categories by the name their folder has, e.g. `magnetic_tile`."""

    categories: dict[str, CategoryPrompts] = Field(default_factory=dict)

    def category(self, name: str) -> CategoryPrompts:
        """The entry of a category.

        Raises:
            UserError: no such entry; names the nearest one and how to add it.
        """
        if name not in self.categories:
            raise UserError(
                f'There are no prompts for category "{name}" ({nearest(name, self.categories)});'
                f" add it to a prompt file under categories.{name} with its object and defects."
            )
        return self.categories[name]


def load_library(*extra_paths: str | Path) -> PromptLibrary:
    """The shipped library, with the user's prompt files laid over it in turn.

    Args:
        extra_paths: YAML files of the shipped one's form: `categories: {NAME: {object, defects: [{type,
            features}]}}`. A category given again replaces the fields it names; lists are replaced whole.

    Raises:
        UserError: unreadable file, bad YAML, wrong type, unknown key.
    """
    source = resources.files("pipelines") / "prompt_library.yaml"
    document = parse_yaml(source.read_text("utf-8"), "The shipped prompt library")
    library = validate(PromptLibrary, document, "The shipped prompt library")
    for path in extra_paths:
        document = merge(document, read_config_file(Path(path)))
        library = validate(PromptLibrary, document, f"Prompt file {path}")
    return library


def defect_sentence(object_name: str, defect: DefectPrompt) -> str:
    """The defect-features state: `{object} with {type} defect, it appears as {features}`."""
    return f"{object_name} with {defect.type} defect, it appears as {defect.features}"


def sentences(prompts: CategoryPrompts, defect_features: bool) -> tuple[list[str], list[str]]:
    """The prompt sets of a category (METHOD.md, "Text"): every state through every template.

    Args:
        prompts: the category.
        defect_features: add one state per defect type to the anomalous set (DF).

    Returns:
        The normal and the anomalous sentences.
    """
    normal = [state.replace("{}", prompts.object) for state in NORMAL_STATES]
    anomalous = [state.replace("{}", prompts.object) for state in ANOMALOUS_STATES]
    if defect_features:
        anomalous += [defect_sentence(prompts.object, defect) for defect in prompts.defects]
    return _fill(normal), _fill(anomalous)


def _fill(states: Iterable[str]) -> list[str]:
    # replace, not format: a user's text may hold braces.
    return [template.replace("{}", state) for state in states for template in TEMPLATES]
