"""Which boxes the searches and curves of thresholds are about."""

from cluster.errors import UserError
from pipelines.boxes import PseudoBoxSettings


def check_rule(settings: PseudoBoxSettings) -> None:
    """Refuse settings whose boxes no category's threshold decides.

    Raises:
        UserError: the rule is not the paper's.
    """
    if settings.rule != "paper":
        raise UserError(
            f"Thresholds are searched for boxes.rule=paper alone, and here boxes.rule={settings.rule}, which "
            "has none: give boxes.rule=paper, or compare the boxes of a few settings by eye."
        )
