"""`detector-nms.onnx`: the network with all steps behind it, proven to find what agssp does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from training.export.nms_graph import AREA, OUTPUTS, SIZE, Selection, with_selection
from training.export.trial_images import Picture
from training.models.detectors import MAX_BOXES, MAX_CANDIDATES, Detector
from training.runtimes import INPUT, FileDetector, onnx_answer, onnx_session
from training.weights import METADATA_KEY

FORMAT = "onnx-nms"
MOST_SCORE_ERROR, MOST_SHARE = 1e-4, 1e-3  # of a score; of a box, as a share of the original's longer side
MOST_UNMATCHED = (
    0.01  # share of detections: overlaps within float32's rounding of the limit may fall otherwise
)


@dataclass(frozen=True)
class NmsCheck:
    """The file's detections beside those of the network's file with agssp's own steps.

    Attributes:
        detections: number of the latter.
        unmatched: detections of either without a counterpart in the other.
        max_box_error: largest difference of matched boxes, pixels of the original.
        max_score_error: largest difference of their scores.
    """

    detections: int
    unmatched: int
    max_box_error: float
    max_score_error: float


def write_nms(
    detector: Detector,
    source: Path,
    path: Path,
    *,
    contract: Mapping[str, Any],
    min_score: float,
    pictures: Sequence[Picture],
) -> NmsCheck:
    """Write the file and compare what it finds with what `Detector.predict` finds.

    Args:
        detector: the detector, on the CPU.
        source: its ONNX file that ends with candidates.
        path: the file to write.
        contract: that of `source`.
        min_score: the floor in the file.
        pictures: what both are shown.

    Raises:
        RuntimeError: they find different things.
    """
    model = onnx.load(str(source))
    boxes, scores = (
        [axis.dim_value for axis in output.type.tensor_type.shape.dim] for output in model.graph.output
    )
    rules = Selection(
        candidates=boxes[1],
        boxes_each=boxes[2],
        classes=scores[2],
        nms_iou=detector.nms_iou,
        min_score=min_score,
        max_boxes=MAX_BOXES,
        most_compared=MAX_CANDIDATES,
    )
    file = with_selection(model, rules)
    del file.metadata_props[:]
    entry = file.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(nms_contract(contract, rules), sort_keys=True)
    onnx.checker.check_model(file)
    onnx.save(file, str(path))
    threads = torch.get_num_threads()
    plain = FileDetector(detector, onnx_answer(source, threads))
    check = compared(plain, path, pictures, min_score)
    if not (check.unmatched <= MOST_UNMATCHED * check.detections):
        raise RuntimeError(
            f"{path.name} does not find what agssp finds: {check.unmatched} of {check.detections} detections "
            "have no counterpart"
        )
    return check


def nms_contract(contract: Mapping[str, Any], rules: Selection) -> dict[str, Any]:
    """What a program needs to use the file; nothing remains to be done with its boxes."""
    suppressed = (
        "none: each object is found once"
        if rules.nms_iou is None
        else f"in the file: by class, greedily by score, at IoU above {rules.nms_iou}, computed in float32"
    )
    return {
        **contract,
        "input": {
            **contract["input"],
            AREA: "(batch, 4) float32, x0 y0 x1 y1 in pixels of the input: where the image lies in it",
            SIZE: "(batch, 2) float32, width and height of the original in pixels",
        },
        "outputs": {
            "boxes": f"(batch, {rules.kept}, 4) float32, x0 y0 x1 y1 in pixels of the original and inside it",
            "scores": f"(batch, {rules.kept}) float32 in [0, 1], best first",
            "labels": f"(batch, {rules.kept}) int64, places in classes",
            "count": "(batch,) int64: so many are detections, behind them are zeros and labels of -1; "
            "-1: the network answered NaN, so nothing can be said of the image",
        },
        "postprocessing": {
            "nms": suppressed,
            "nms_iou": rules.nms_iou,
            "min_score": rules.min_score,
            "threshold": "a higher floor may be laid on the scores afterwards: it gives what it would have "
            "given before suppression",
        },
    }


def compared(plain: Detector, path: Path, pictures: Sequence[Picture], min_score: float) -> NmsCheck:
    """The file against `plain`'s own steps, image by image."""
    session = onnx_session(path, torch.get_num_threads())
    detections = unmatched = 0
    largest = np.zeros(2)
    for picture in pictures:
        (one,) = plain.predict(torch.from_numpy(picture.values), min_score=min_score, areas=[picture.area])
        placement = plain.preprocessing.place(*picture.size)
        width, height = picture.size
        wanted = placement.original(one.boxes.double().numpy()).clip(0, [width, height] * 2)
        given = {
            INPUT: picture.values,
            AREA: np.array([picture.area], np.float32),
            SIZE: np.array([picture.size], np.float32),
        }
        (boxes,), (scores,), (labels,), (count,) = session.run(list(OUTPUTS), given)
        lost, errors = _matched(
            (wanted, one.scores.numpy(), one.labels.numpy()),
            (boxes[:count], scores[:count], labels[:count]),
            MOST_SHARE * max(picture.size),
        )
        detections, unmatched = detections + len(wanted), unmatched + lost
        largest = np.maximum(largest, errors)
    return NmsCheck(detections, unmatched, float(largest[0]), float(largest[1]))


Found = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


def _matched(one: Found, other: Found, most: float) -> tuple[int, tuple[float, float]]:
    """Detections of either without a counterpart, and the largest differences of the others."""
    boxes = np.abs(one[0][:, None] - other[0][None]).max(axis=-1, initial=0)
    scores = np.abs(one[1][:, None] - other[1][None])
    same = (one[2][:, None] == other[2][None]) & (boxes <= most) & (scores <= MOST_SCORE_ERROR)
    unmatched = int((~same.any(axis=1)).sum() + (~same.any(axis=0)).sum())
    nearest = np.where(same, boxes, np.inf).min(axis=1, initial=np.inf)
    matched = np.isfinite(nearest)
    rows = np.flatnonzero(matched)
    columns = np.where(same, boxes, np.inf)[rows].argmin(axis=1) if len(rows) else rows
    score_error = float(scores[rows, columns].max(initial=0))
    return unmatched, (float(nearest[rows].max(initial=0)), score_error)
