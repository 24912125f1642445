"""Unusable images, and how many of them a stage accepts."""

from cluster.errors import UserError


def check_bad_share(
    bad: int, total: int, limit: float, stage: str, first_reason: str, *, what: str = "images"
) -> None:
    """Fail a stage that met too many bad images; `what` names what is counted.

    Raises:
        UserError: `bad / total` is above `limit`.
    """
    if total and bad / total > limit:
        raise UserError(
            f"{stage}: {bad} of {total} {what} can't be used (first: {first_reason}), more than "
            f"{stage}.max_bad_share={limit:g} allows; repair or remove them, or raise the share."
        )
