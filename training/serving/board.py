"""What all replicas say of themselves, and the version that they agreed on."""

import time
from dataclasses import dataclass, field

from training.serving.messages import Identity, Report, Standing


@dataclass
class Board:
    """Standings by replica, forgotten after a while; and the version taken last.

    The first to report after the board was lost says which one that is.

    Args:
        forget_s: seconds after which a replica that says no more is taken for gone.
    """

    forget_s: float
    accepted: Identity | None = None
    _reports: dict[str, tuple[float, Standing]] = field(default_factory=dict)

    def report(self, report: Report) -> Identity:
        """Keep a standing; tell the version that all should serve."""
        standing = report.standing
        self._reports[standing.replica] = (time.monotonic(), standing)
        # Who was slow and left a version that the others left before does not call them back.
        if self.accepted is None or report.instead_of == self.accepted:
            self.accepted = standing.identity
        return self.accepted

    def standings(self) -> list[Standing]:
        """Of the replicas heard of lately."""
        since = time.monotonic() - self.forget_s
        self._reports = {name: entry for name, entry in self._reports.items() if entry[0] >= since}
        return [standing for _, standing in self._reports.values()]


class BoardActor:
    """A `Board` as a deployment, in a process without any heavy library.

    Args:
        forget_s: see `Board`.
    """

    def __init__(self, forget_s: float) -> None:
        self._board = Board(forget_s)

    async def report(self, report: Report) -> Identity:
        """See `Board.report`."""
        return self._board.report(report)

    async def accepted(self) -> Identity | None:
        """See `Board`."""
        return self._board.accepted

    async def standings(self) -> list[Standing]:
        """See `Board.standings`."""
        return self._board.standings()
