"""A backbone filled from a state dict of its library."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from cluster.errors import UserError
from training.models.backbones.base import Backbone
from training.weights import TransferReport, load_weights
from training.weights.transfer import transfer


def fill(
    backbone: Backbone, state: Mapping[str, Tensor], source: str, *, whole: bool = True
) -> TransferReport:
    """Fill a backbone from a state dict of the library's full model or of the backbone alone.

    Args:
        backbone: filled in place.
        state: tensors in the library's keys, any float dtype; those of no backbone are left out.
        source: how messages name it.
        whole: whether it must have every weight of the backbone; if not, those that it has must still fit.

    Raises:
        UserError: it fills nothing, lacks a part, or is of another size.
    """
    try:
        report = transfer(backbone.library, state, part_of=lambda key: "backbone")
    except UserError as error:
        raise UserError(f"The start {source}: {error}") from None
    missing = [key for key in report.missing if not key.endswith("num_batches_tracked")]
    if report.mismatched:
        first = report.mismatched[0]
        fault = f"{first.key} has shape {first.given}, not {first.wanted}"
    elif missing and whole:
        fault = f"it lacks {missing[0]} and {len(missing) - 1} more"
    else:
        return report
    raise UserError(
        f"The start {source} is not a {backbone.name} ({fault}); choose weights of that architecture."
    )


def load_start(backbone: Backbone, path: Path) -> TransferReport:
    """Fill a backbone, whole, from a weights file.

    Raises:
        UserError: see `load_weights` and `fill`.
    """
    state, _ = load_weights(path)
    return fill(backbone, state, str(path))
