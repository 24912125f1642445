"""Segmenters and detectors of the dense tasks: built fresh, filled from a start, saved and loaded."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cluster.errors import UserError
from cluster.storage import Storage
from training.dense.section import DenseTask
from training.models import PartedModel, Preprocessing, backbone_of
from training.models.detectors import Trunk, build_detector
from training.models.segmenters import build_segmenter
from training.starts import Start
from training.weights import TransferReport, check_whole, load_weights, save_weights
from training.weights.transfer import transfer

KIND = "dense"
MAX_CLASSES = 10_000
MAX_SIDE = 4096
Colours = tuple[tuple[float, float, float], tuple[float, float, float]]  # mean, std


def build_dense(
    task: DenseTask, name: str, classes: tuple[str, ...], side: int, colours: Colours | None
) -> PartedModel:
    """A model with random weights, drawn from torch's global state.

    Args:
        task: `semantic` makes a segmenter, the others a detector.
        name: e.g. `mask2former-s+resnet18`, `faster-rcnn+convnext_tiny.fb_in1k`, `yolov8n`.
        classes: names in label order.
        side: side of its training crops, pixels.
        colours: mean and deviation that images are normalised by; None takes the backbone's own. Detectors
            of ultralytics ignore it and normalise nothing.

    Raises:
        UserError: see `build_segmenter` and `build_detector`.
    """
    model: PartedModel
    if task == "semantic":
        model = build_segmenter(name, classes, side)
    else:
        model = build_detector(name, classes, Preprocessing(side, "square"))
    trunk = trunk_of(model)
    if trunk is not None and colours is not None:
        trunk.take_colours(*colours)
    return model


def trunk_of(model: PartedModel) -> Trunk | None:
    """The trunk of a model on a backbone of ours; ultralytics' networks have none."""
    return next((module for module in model.modules() if isinstance(module, Trunk)), None)


def started_dense(
    task: DenseTask,
    name: str,
    classes: tuple[str, ...],
    side: int,
    colours: Colours | None,
    seed: int,
    start: Start | None,
) -> tuple[PartedModel, TransferReport | None]:
    """A model before its first step: the same neck and head for the same seed, the backbone of the start.

    Args:
        task, name, classes, side, colours: see `build_dense`.
        seed: seed of the weights that the start does not fill.
        start: the first weights; None starts from scratch. A whole detector gives only its backbone, so that
            every start has the same fresh head.

    Raises:
        UserError: the start does not fill the backbone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_dense(task, name, classes, side, colours)
    if start is None:
        return model, None
    report = transfer(model, dict(model.own_keys(start.state)), part_of=model.part_of, only=("backbone",))
    count = report.parts["backbone"]
    if report.mismatched or (start.whole and count.parameters < count.of_parameters):
        raise UserError(
            f"The start {start.source} fills only {count.parameters:,} of the {count.of_parameters:,} "
            f"weights of {backbone_of(name)}; give weights of that backbone."
        )
    return model, report


def save_dense(
    task: DenseTask,
    model: PartedModel,
    side: int,
    directory: Storage,
    name: str,
    lineage: Mapping[str, str],
) -> None:
    """Write a model's weights, in its library's keys, with metadata."""
    trunk = trunk_of(model)
    metadata = {
        "kind": KIND,
        "task": task,
        "architecture": model.architecture,
        "classes": list(model.classes),
        "side": side,
        "colours": None if trunk is None else [list(trunk.backbone.mean), list(trunk.backbone.std)],
        "lineage": dict(lineage),
    }
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "weights.safetensors"
        save_weights(local, model.state_dict(), metadata)
        directory.put(local, name)


def load_dense(path: Path) -> PartedModel:
    """Rebuild a model from a file of `save_dense`, on the CPU, in eval mode.

    Raises:
        UserError: no such file, not safetensors, not such a model, or weights that don't fit what the file
            says of itself.
    """
    state, metadata = load_weights(path)
    model = _build(path, metadata)
    check_whole(
        path,
        state,
        model.state_dict(),
        name=model.architecture,
        remedy="train it again",
        classes=len(model.classes),
    )
    model.load_state_dict(state)
    return model.eval()


def _build(path: Path, metadata: Mapping[str, Any]) -> PartedModel:
    task, name, classes = (metadata.get(key) for key in ("task", "architecture", "classes"))
    side, colours = metadata.get("side"), metadata.get("colours")
    if (
        metadata.get("kind") == KIND
        and (task == "semantic" or task == "instance" or task == "detection")
        and isinstance(name, str)
        and isinstance(classes, list)
        and 0 < len(classes) <= MAX_CLASSES
        and all(isinstance(label, str) for label in classes)
        and isinstance(side, int)
        and 32 <= side <= MAX_SIDE
        and side % 32 == 0
    ):
        return build_dense(task, name, tuple(classes), side, _colours(path, colours))
    raise UserError(
        f"Weights file {path} is no model of a transfer study (its metadata does not name task, "
        "architecture, classes and side); give the model.safetensors of a transfer stage."
    )


def _colours(path: Path, colours: Any) -> Colours | None:
    if colours is None:
        return None
    if (
        isinstance(colours, list)
        and [len(side) if isinstance(side, list) else 0 for side in colours] == [3, 3]
        and all(isinstance(value, int | float) for side in colours for value in side)
        and all(value > 0 for value in colours[1])
    ):
        mean, std = ((float(r), float(g), float(b)) for r, g, b in colours)
        return mean, std
    raise UserError(f"Weights file {path}: its colours are no three means and deviations; train it again.")
