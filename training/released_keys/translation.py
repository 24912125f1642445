"""What became of a published checkpoint's tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from training.weights import StateDict

EXAMPLES = 4  # of what is left out, named in the sentence


@dataclass(frozen=True)
class Translation:
    """A foreign state dict in our keys.

    Attributes:
        family: what its keys were recognised as, with its article.
        state: the tensors in the keys of the library that this house builds the model with.
        left: the file's keys without a place in it.
        changed: what was done to values, as a clause; empty where tensors are as the file has them.
    """

    family: str
    state: StateDict
    left: tuple[str, ...]
    changed: str = ""

    def sentence(self, source: str) -> str:
        """One line on what was recognised, taken and left out."""
        parts = sorted({_part(key) for key in self.left})
        more = f" and {len(parts) - EXAMPLES} more" if len(parts) > EXAMPLES else ""
        have = "has" if len(self.left) == 1 else "have"
        left = (
            f"; {len(self.left)} {have} no place here ({', '.join(parts[:EXAMPLES])}{more})" if parts else ""
        )
        changed = f"; {self.changed}" if self.changed else ""
        return f"{source} holds {self.family}: {len(self.state)} tensors taken{changed}{left}"


def translated(
    family: str, source: Mapping[str, Tensor], ours: Mapping[str, str], changed: str = ""
) -> Translation:
    """A translation that renames tensors and leaves the others out.

    Args:
        family: see `Translation`.
        source: the file's tensors.
        ours: our key for each of the file's keys that has one.
        changed: see `Translation`.
    """
    state = {new: source[key] for key, new in ours.items()}
    return Translation(family, state, tuple(key for key in source if key not in ours), changed)


def prefix_before(
    source: Mapping[str, Tensor], prefixes: tuple[str, ...], marks: tuple[str, ...]
) -> str | None:
    """The first prefix behind which all these keys are found; None where there is none."""
    return next((one for one in prefixes if all(f"{one}{mark}" in source for mark in marks)), None)


def _part(key: str) -> str:
    """The module of a key, without the wrapper of a parallel training."""
    return key.removeprefix("module.").partition(".")[0]
