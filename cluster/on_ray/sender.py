"""What a step tells as it goes: rows that are done."""

from typing import Protocol


class Sender(Protocol):
    """The steps' end of a count of rows; sending never waits."""

    def add(self, amount: int) -> None:
        """`amount` more rows are done."""
