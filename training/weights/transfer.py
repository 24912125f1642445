"""Filling a model with weights part by part, with a report of what each part took."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from cluster.errors import UserError
from training.weights.files import StateDict


@dataclass(frozen=True)
class PartCount:
    """How much of one part of a model was filled.

    Attributes:
        tensors, of_tensors: state dict entries (buffers included), filled and in all.
        parameters, of_parameters: their learnable numbers, filled and in all.
    """

    tensors: int
    of_tensors: int
    parameters: int
    of_parameters: int


@dataclass(frozen=True)
class Mismatch:
    """A tensor that both sides have with different shapes; the model keeps its own."""

    key: str
    wanted: tuple[int, ...]
    given: tuple[int, ...]


@dataclass(frozen=True)
class TransferReport:
    """What `transfer` did.

    Attributes:
        parts: counts of the parts asked for, by name.
        mismatched: tensors left out for their shape.
        missing: the model's keys in those parts that the state dict lacks.
        unused: the state dict's keys that the model, or the parts asked for, have no place for.
    """

    parts: Mapping[str, PartCount]
    mismatched: tuple[Mismatch, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """One line, e.g. `backbone 157/157 tensors (1,272,656 parameters), head 30/36 tensors (…)`."""
        counts = [
            f"{name} {count.tensors}/{count.of_tensors} tensors ({count.parameters:,} parameters)"
            for name, count in self.parts.items()
        ]
        shapes = f"; {len(self.mismatched)} of another shape left out" if self.mismatched else ""
        return ", ".join(counts) + shapes


def _example(mismatched: list[Mismatch], state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> str:
    if mismatched:
        first = mismatched[0]
        return f" ({first.key} has shape {first.given}, the model's {first.wanted})"
    return f" (theirs are named like {next(iter(state), 'nothing')}, the model's like {next(iter(target))})"


def transfer(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    part_of: Callable[[str], str],
    only: Collection[str] | None = None,
) -> TransferReport:
    """Fill a model from a state dict where keys and shapes agree, casting to the model's dtypes.

    Args:
        model: filled in place.
        state: tensors in the model's own keys; it may hold more or less than the model.
        part_of: names the part (`backbone`, `neck`, `head`) that a key of the model belongs to.
        only: the parts to fill; None fills all.

    Raises:
        UserError: no learnable number was filled.
    """
    learnable = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    model_state = model.state_dict()
    tally: dict[str, list[int]] = {}
    filled: StateDict = {}
    mismatched: list[Mismatch] = []
    missing: list[str] = []
    for key, target in model_state.items():
        part = part_of(key)
        if only is not None and part not in only:
            continue
        count = tally.setdefault(part, [0, 0, 0, 0])
        size = target.numel() if key in learnable else 0
        count[1] += 1
        count[3] += size
        source = state.get(key)
        if source is None:
            missing.append(key)
        elif source.shape != target.shape:
            mismatched.append(Mismatch(key, tuple(target.shape), tuple(source.shape)))
        else:
            filled[key] = source.to(target.dtype)
            count[0] += 1
            count[2] += size
    if not any(count[2] for count in tally.values()):
        raise UserError(
            f"The weights fill nothing of the model's {' and '.join(tally)}"
            f"{_example(mismatched, state, model_state)}; choose a start of the same architecture."
        )
    model.load_state_dict(filled, strict=False)
    unplaced = {mismatch.key for mismatch in mismatched} | set(filled)
    return TransferReport(
        parts={name: PartCount(*count) for name, count in tally.items()},
        mismatched=tuple(mismatched),
        missing=tuple(missing),
        unused=tuple(sorted(set(state) - unplaced)),
    )
