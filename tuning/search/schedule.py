"""How long trials go on, and who follows them. No Ray here."""

from collections.abc import Callable
from dataclasses import dataclass

from tuning.search.ledger import TrialRecord


@dataclass(frozen=True)
class Schedule:
    """When a trial ends before its time, and when it is tried again.

    Attributes:
        scheduler: `asha` stops trials that lag behind, `none` stops nothing.
        grace_epochs, max_epochs: ASHA's first rung, and the longest training.
        max_failures: attempts that may fail; each goes on from the last checkpoint.
    """

    scheduler: str
    grace_epochs: int
    max_epochs: int
    max_failures: int


@dataclass(frozen=True)
class Watch:
    """Who follows a search.

    Attributes:
        name: name of the search, as it is shown.
        spent: function that says which budget is reached, see `LedgerSearch`.
        on_over: function called for every trial that is over.
    """

    name: str
    spent: Callable[[], str | None]
    on_over: Callable[[TrialRecord], None]
