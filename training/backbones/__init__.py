"""Backbones by name, from scratch or from a weights file."""

from pathlib import Path

from cluster.errors import UserError
from training.backbones import timm as timm  # registers its names
from training.backbones import ultralytics as ultralytics  # likewise
from training.backbones.base import Backbone, Family, Stage, build, canonical, names
from training.weights import TransferReport, load_weights, transfer

__all__ = ["SCRATCH", "Backbone", "Family", "Stage", "build", "canonical", "load_start", "names"]

SCRATCH = "scratch"


def load_start(backbone: Backbone, path: Path) -> TransferReport:
    """Fill a backbone from a safetensors file of the library's full model or of the backbone alone.

    Args:
        backbone: filled in place, whole.
        path: local file, in the library's keys, any float dtype; what is not backbone in it is left out.

    Raises:
        UserError: see `load_weights`; or the file lacks a part of this backbone, or is of another size.
    """
    state, _ = load_weights(path)
    try:
        report = transfer(backbone.library, state, part_of=lambda key: "backbone")
    except UserError as error:
        raise UserError(f"The start {path}: {error}") from None
    missing = [key for key in report.missing if not key.endswith("num_batches_tracked")]
    if report.mismatched:
        first = report.mismatched[0]
        fault = f"{first.key} has shape {first.given}, not {first.wanted}"
    elif missing:
        fault = f"it lacks {missing[0]} and {len(missing) - 1} more"
    else:
        return report
    raise UserError(
        f"The start {path} is not a {backbone.name} ({fault}); choose weights of that architecture."
    )
