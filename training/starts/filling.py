"""A detector before its first step: fresh, or filled from a backbone, a detector or a weights file."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from cluster.errors import UserError
from pipelines.encoder import written_licences
from training.models import Preprocessing
from training.models.detectors import Detector, build_detector
from training.weights import StateDict, TransferReport
from training.weights.transfer import transfer


def fresh_detector(
    name: str,
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    seed: int,
    like: StateDict | None = None,
) -> Detector:
    """A randomly initialised detector, the same for the same seed (and widths of `like`)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_detector(name, classes, preprocessing, like=like)


def filled_detector(
    name: str,
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    seed: int,
    *,
    state: StateDict,
    metadata: Mapping[str, Any],
    source: str,
    whole: bool = True,
) -> tuple[Detector, TransferReport]:
    """A detector whose backbone, neck and head are taken from a state dict, as far as it has them.

    The last, class-dependent layers stay fresh unless the metadata names the same classes
    (docs/method.md#agdp: only they are made anew).

    Args:
        name, classes, preprocessing, seed: see `fresh_detector`.
        state: tensors of a detector for any classes, in its library's keys, or of a backbone alone, in the
            keys of the backbone's library.
        metadata: the weights file's metadata.
        source: how messages name it.
        whole: whether the backbone must be filled wholly; published classifiers may lack its last layers.

    Raises:
        UserError: the backbone isn't filled or has another shape: the weights are of another architecture.
    """
    detector = fresh_detector(name, classes, preprocessing, seed, like=state)
    state = dict(detector.own_keys(state))
    same = metadata.get("classes") == list(classes)
    parts = ("backbone", "neck", "head", "classes") if same else ("backbone", "neck", "head")
    detector.licences = written_licences(metadata, source)
    report = transfer(detector, state, part_of=detector.part_of, only=parts)
    backbone = report.parts["backbone"]
    wrong = any(detector.part_of(mismatch.key) == "backbone" for mismatch in report.mismatched)
    if wrong or (whole and backbone.parameters < backbone.of_parameters):
        raise UserError(
            f"{source} fills only {backbone.parameters:,} of the {backbone.of_parameters:,} weights of "
            f"{name}'s backbone; give weights of {name}, or set name to their architecture."
        )
    return detector, report


def report_json(report: TransferReport) -> dict[str, Any]:
    """A transfer report for a stage's record: what was filled, by part, and what had another shape."""
    return {
        "parts": {name: asdict(count) for name, count in report.parts.items()},
        "mismatched": [mismatch.key for mismatch in report.mismatched],
        "unused": len(report.unused),
    }
