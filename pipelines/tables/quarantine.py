"""Unusable images, and how many of them a stage accepts."""

from cluster.errors import UserError


def check_bad_share(
    bad: int,
    total: int,
    limit: float,
    stage: str,
    first_reason: str,
    *,
    what: str = "images",
    tables: str = "",
) -> None:
    """Fail a stage that met too many bad images.

    Args:
        bad, total: number of images that can't be used, and of all.
        limit: `max_bad_share`.
        stage: dotted path of the section that holds it.
        first_reason: one of them in words.
        what: what is counted.
        tables: where all of them are listed, written before this is called; "" if nowhere.

    Raises:
        UserError: `bad / total` is above `limit`.
    """
    if total and bad / total > limit:
        raise UserError(
            f"{stage}: {bad} of {total} {what} can't be used (first: {first_reason}), more than "
            f"{stage}.max_bad_share={limit:g} allows; repair or remove them, or raise the share."
            f"{f' All of them: {tables}' if tables else ''}"
        )
