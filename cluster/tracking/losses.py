"""What a tracking server never got, told once by the command that lost it.

One list a process, as a server's outbox is: threads that write to one server share what it never got.
"""

_losses: list[str] = []


def note_loss(sentence: str) -> None:
    """Keep a sentence about what was lost."""
    _losses.append(sentence)


def take_losses() -> list[str]:
    """Sentences about what was lost since the last call, for a command's last lines."""
    taken = list(_losses)
    del _losses[: len(taken)]  # an outbox' thread may have added one meanwhile
    return taken
