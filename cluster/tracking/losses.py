"""Writes that never reached a tracking server, told once by the command that lost them.

One list per process, like a server's outbox: threads that write to one server share it.
"""

_losses: list[str] = []


def note_loss(sentence: str) -> None:
    """Keep a sentence about what was lost."""
    _losses.append(sentence)


def take_losses() -> list[str]:
    """Sentences about what was lost since the last call, for a command's last lines."""
    sentences = list(_losses)
    del _losses[: len(sentences)]  # an outbox' thread may have added one meanwhile
    return sentences
