"""What an audit chose for each category, as the boxes stage reads it."""

from collections.abc import Iterable
from typing import Any

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact
from pipelines.boxes.section import PseudoBoxSettings

CHOICE_FILE = "choice.json"  # the audit's: category -> settings, and a sentence that says why
RULES_FILE = "rules.json"  # the same beside the boxes that were made by it


def chosen_settings(
    audit: Artifact, categories: Iterable[str]
) -> tuple[dict[str, PseudoBoxSettings], dict[str, Any]]:
    """The settings of each category and the audit's words about them; says them, one line a category.

    Args:
        audit: the audit's artifact.
        categories: categories that need settings.

    Raises:
        UserError: a category for which the audit chose none.
    """
    document: dict[str, Any] = audit.directory.read_json(CHOICE_FILE)
    rules = {category: document[category] for category in sorted(categories)}
    for category, choice in rules.items():
        if choice["settings"] is None:
            raise UserError(
                f'boxes.rule=auto can\'t choose a rule for "{category}": {choice["sentence"]} Give another '
                "boxes.rule."
            )
    for choice in rules.values():
        say(f"boxes: {choice['sentence']}")
    settings = {name: PseudoBoxSettings.model_validate(each["settings"]) for name, each in rules.items()}
    return settings, rules
