"""A detector as an ONNX file with a dynamic batch, and the proof that it agrees with PyTorch."""

import json
import logging
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as failures
from torch import Tensor

from training.models import FILL
from training.models.detectors import MIN_SCORE, Detector
from training.runtimes.candidate_matching import paired_differences
from training.weights import METADATA_KEY

INPUT, OUTPUTS = "images", ("boxes", "scores")
CHECKED_BATCHES = (1, 3)
# The most that float32 rounding through a hundred layers may add up to; more means another network.
MOST_SCORE_ERROR, MOST_BOX_ERROR = 1e-3, 0.1
# They have no class in common but Exception.
UNUSABLE = (
    onnx.checker.ValidationError,
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.NotImplemented,
    failures.RuntimeException,
)


@dataclass(frozen=True)
class OnnxCheck:
    """Largest differences between onnxruntime and PyTorch over batches of 1 and 3.

    Attributes:
        boxes: difference in pixels of the input.
        scores: difference of scores in [0, 1].
    """

    boxes: float
    scores: float


def export_onnx(detector: Detector, path: Path, lineage: Mapping[str, str]) -> OnnxCheck:
    """Write the detector up to its candidate boxes, check the file, compare it with PyTorch.

    The file's metadata holds `contract` as JSON under `agssp`.

    Args:
        detector: the detector, on the CPU.
        path: the file to write.
        lineage: the detector's origin, for the metadata.

    Raises:
        RuntimeError: the exporter knows no nodes for a part of the detector, onnxruntime can't run the file,
            or its results differ by more than rounding.
    """
    module = detector.export_module()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        for library in ("torch.onnx", "onnxscript"):
            logging.getLogger(library).setLevel(logging.ERROR)
        torch.onnx.export(
            module,
            (trial_batch(detector, 2),),
            str(path),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={INPUT: {0: torch.export.Dim.DYNAMIC}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    file = onnx.load(str(path))
    _name_batch(file)
    entry = file.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(contract(detector, lineage), sort_keys=True)
    onnx.save(file, str(path))
    try:
        onnx.checker.check_model(file)
        check = _compared(detector, path)
    except UNUSABLE as error:
        raise RuntimeError(f"onnxruntime can't run {path.name}: {error}") from error
    if not (check.boxes <= MOST_BOX_ERROR and check.scores <= MOST_SCORE_ERROR):  # NaN too
        raise RuntimeError(
            f"{path.name} does not give what PyTorch gives: boxes differ by {check.boxes:g} pixels, scores "
            f"by {check.scores:g}"
        )
    return check


def _name_batch(file: Any) -> None:
    """Call the free axis `batch` wherever the exporter named it by a number of its own (`s0`)."""
    graph = file.graph
    free = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    name = re.compile(rf"\b{re.escape(free)}\b")
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.HasField("dim_param"):
                axis.dim_param = name.sub("batch", axis.dim_param)


def contract(detector: Detector, lineage: Mapping[str, str]) -> dict[str, Any]:
    """What a program needs to use the file: inputs, outputs and the steps that remain."""
    shape = detector.preprocessing.place(64, 64).image(np.zeros((64, 64, 3), np.uint8)).shape
    resize = {
        "letterbox": "scale by min(width / w, height / h) to round(w·scale) × round(h·scale), centre "
        f"(offsets rounded down), fill with {FILL}",
        "square": "stretch to width × height, averaging areas along a side that shrinks",
    }[detector.preprocessing.resize]
    suppression = (
        "none: each object is found once"
        if detector.nms_iou is None
        else f"not in the file: by class, greedily by score, at IoU above {detector.nms_iou} "
        "(of exactly that both boxes stay), overlaps of whole boxes, not cut off"
    )
    return {
        "kind": "detector",
        "architecture": detector.architecture,
        "classes": list(detector.classes),
        "lineage": dict(lineage),
        "licences": dict(detector.licences),
        "input": {
            "name": INPUT,
            "layout": "(batch, 3, height, width) float32, RGB, value / 255; any batch size",
            "height": shape[0],
            "width": shape[1],
            "resize": detector.preprocessing.resize,
            "how": resize,
            "fill": FILL,
            **_tiles(detector),
            **_levels(detector),
        },
        "outputs": {
            "boxes": "(batch, N, 1 or classes, 4) x0 y0 x1 y1 in pixels of the input; the third axis is 1 "
            "where one box serves all classes",
            "scores": "(batch, N, classes) in [0, 1]",
        },
        "postprocessing": {
            "first": "drop every box that shows nothing of the image: wholly outside the part of the input "
            "where the image lies, without an area, or not finite",
            "nms": suppression,
            "nms_iou": detector.nms_iou,
            "threshold": "before nms drop every score below the least that you want; the file drops none, "
            f"evaluation measured from {MIN_SCORE} up",
            "clip": "after nms cut the boxes off at the border of the part of the input where the image lies",
            "last": "keep the best, cut off at the image's border",
            "original_pixels": "(box − offset) / scale, of x and y each",
        },
    }


def _tiles(detector: Detector) -> dict[str, Any]:
    """How images are cut before they are resized; nothing where they are not."""
    cut = detector.cut
    if cut.tiles == "off":
        return {}
    side = (
        "as many pixels of the image as the input has, where the whole does not fit nearly"
        if cut.tiles == "auto"
        else f"{cut.tiles} pixels of the image for the input's longer side"
    )
    how = f"cut images into overlapping tiles of the input's aspect, {side}; join their boxes over the seams"
    return {**cut.deciding_tiles, "cut": how}


def _levels(detector: Detector) -> dict[str, Any]:
    """What becomes of images of more than 8 bits, where the training gave all of them one black and white."""
    if detector.levels is None:
        return {}
    how = "of more than 8 bits: (value − black) / (white − black) · 255, rounded, cut off at 0 and 255"
    return {"levels": {"black": detector.levels[0], "white": detector.levels[1], "how": how}}


def trial_batch(detector: Detector, count: int) -> Tensor:
    """Inputs (count, 3, H, W) in [0, 1] with something to see: blurred noise."""
    rng = np.random.default_rng(count)
    coarse = rng.integers(0, 256, (count, 24, 32, 3), dtype=np.uint8)
    placement = detector.preprocessing.place(32, 24)
    return torch.from_numpy(np.stack([placement.image(one) for one in coarse])).permute(0, 3, 1, 2) / 255


def _compared(detector: Detector, path: Path) -> OnnxCheck:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # PyTorch has the cores between
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    errors: dict[str, list[float]] = {name: [] for name in OUTPUTS}
    for count in CHECKED_BATCHES:
        images = trial_batch(detector, count)
        with torch.no_grad():
            wanted = detector.eval().candidates(images)
        outputs: list[npt.NDArray[np.float32]] = session.run(list(OUTPUTS), {INPUT: images.numpy()})
        if detector.ranks:
            both = [(one.numpy(), other) for one, other in zip(wanted, outputs, strict=True)]
            for boxes, scores in zip(zip(*both[0], strict=True), zip(*both[1], strict=True), strict=True):
                differences = paired_differences(
                    boxes, scores, side=max(images.shape[2:]), min_score=MIN_SCORE
                )
                for name, error in zip(OUTPUTS, differences, strict=True):
                    errors[name].append(error)
            continue
        for name, one, other in zip(OUTPUTS, wanted, outputs, strict=True):
            errors[name].append(float(np.abs(one.numpy() - other).max()))
    return OnnxCheck(**{name: max(values) for name, values in errors.items()})
