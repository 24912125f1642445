"""One verdict, as commands, tags and reports carry it."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Verdict:
    """What must be said of a result that is nothing, or close to it.

    Attributes:
        kind: a word for programs, e.g. `chance_level`.
        sentence: what is so, why, and what would help.
    """

    kind: str
    sentence: str

    def document(self) -> dict[str, str]:
        """The verdict as JSON-able data."""
        return asdict(self)
