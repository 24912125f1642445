"""Checkpoints of a training: whole states in numbered files, each written whole or not at all."""

import io
import pickle
import re

import torch

from cluster.errors import UserError
from cluster.storage import Storage
from training.loop.state import State

KEPT = 2  # a worker that was given up may still read the one before
NAME = re.compile(r"state-(\d{6,})\.pt")


class Checkpoints:
    """The states in one directory.

    Ray Train's own checkpoints are not used: the controller's record of them lags behind the disk, so a
    killed driver or node would lose the last few.

    Args:
        directory: storage that every worker reaches.
    """

    def __init__(self, directory: Storage) -> None:
        self.directory = directory

    def save(self, epoch: int, state: State) -> None:
        """Write a state atomically, then drop all but the newest ones.

        Args:
            epoch: the epoch after or amid which it was taken.
            state: tensors, numbers and containers only.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.directory.write(f"state-{epoch:06d}.pt", buffer.getvalue())
        for name in self._names()[:-KEPT]:
            self.directory.delete(name)

    def latest(self) -> str | None:
        """The file name of the newest state; None where there is none."""
        names = self._names()
        return names[-1] if names else None

    def read(self, name: str) -> State:
        """The state of that file, on the CPU; nothing but tensors, numbers and containers is unpickled.

        Raises:
            UserError: it is damaged or foreign.
        """
        content = io.BytesIO(self.directory.read(name))
        try:
            state: State = torch.load(content, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError):
            raise UserError(
                f"Checkpoint {self.directory.uri}/{name} is damaged; delete it to go on from the one before, "
                "or its folder to start over."
            ) from None
        return state

    def _names(self) -> list[str]:
        """File names, oldest first."""
        matches = ((NAME.fullmatch(name), name) for name in self.directory.children())
        return [name for _, name in sorted((int(match[1]), name) for match, name in matches if match)]
