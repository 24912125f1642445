"""Fig. 4 of the paper: features and detections with and without pretraining, of good cases and bad ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cluster.stages import Artifact
from pipelines.tables import CorpusTables, LabelRow, sides
from training.models.detectors import Detector
from training.pictures import DrawnBox, Picture, draw_boxes, heat_over, read_pixels
from training.report.artifacts import StartOutcome
from training.report.cases import Case, cases, compared_pair
from training.report.data import Cases
from training.report.features import attention, backbone_in
from training.report.judged_images import PREDICTIONS_FILE, predicted
from training.starts import WEIGHTS_FILE, load_detector

SIDE, GAP, LINE = 240, 6, 24  # pixels of a panel, between panels, and of a line of text
INK, PAPER, FONT = (30, 30, 30), 255, cv2.FONT_HERSHEY_SIMPLEX


def cases_sheet(
    labelled: Artifact, starts: Mapping[str, StartOutcome], limit: int, min_score: float
) -> Cases | None:
    """A row an image: truth, the attention of both detectors' backbones, and what both find.

    Args:
        labelled: the artifact with the labels.
        starts: outcome of each start, by its name.
        limit: most images of either kind.
        min_score: least score of a detection that is drawn and counted.

    Returns:
        None where no two starts were finetuned, or nothing is to be shown.
    """
    pair = compared_pair(starts)
    if pair is None or not limit:
        return None
    tables = CorpusTables(labelled.directory)
    labels, levels = tables.labels(), tables.levels()
    found = [predicted(starts[name].evaluated) for name in pair]
    good, bad = cases(labels, found[0], found[1], limit, min_score)
    chosen = [*good, *bad]
    if not chosen:
        return Cases(*pair, 0, 0, features=False, picture=None)
    rows = starts[pair[0]].evaluated.directory.read_table(PREDICTIONS_FILE, columns=["image_id", "uri"])
    uris = {row["image_id"]: row["uri"] for row in rows.to_pylist()}
    images = [read_pixels(uris[case.image_id], levels.get(case.image_id)) for case in chosen]
    maps = [_attention(starts[name], images) for name in pair]
    panels = []
    for place, case in enumerate(chosen):
        truths = _truths(labels[case.image_id])
        row = [draw_boxes(images[place], truths, [], side=SIDE)]
        row += [_heated(images[place], each[place]) for each in maps if each is not None]
        for boxes in found:
            row.append(draw_boxes(images[place], truths, _found(boxes[case.image_id], min_score), side=SIDE))
        panels.append(row)
    features = all(each is not None for each in maps)
    heads = ["truth", *([f"features, {name}" for name in pair] if features else []), *pair]
    names = [uris[case.image_id].rsplit("/", 1)[-1] for case in chosen]
    return Cases(*pair, len(good), len(bad), features, drawn_sheet(heads, chosen, names, panels, pair[1]))


def drawn_sheet(
    heads: Sequence[str],
    chosen: Sequence[Case],
    names: Sequence[str],
    panels: Sequence[Sequence[Picture]],
    after: str,
) -> Picture:
    """The panels in rows under their heads; a line above each row says how good both starts are there.

    Args:
        heads: a word a column.
        chosen: the cases, good ones first.
        names: file name of each.
        panels: (h, w, 3) pictures of each, not larger than `SIDE`.
        after: the start whose gain it is.
    """
    step = SIDE + GAP
    lines = [_text_line(len(heads) * step, {place * step: head for place, head in enumerate(heads)})]
    kind = ""
    for case, name, row in zip(chosen, names, panels, strict=True):
        now = f"Good cases: {after} finds more" if case.gain > 0 else f"Bad cases: {after} finds less"
        if now != kind:
            kind = now
            lines.append(_text_line(len(heads) * step, {0: kind}))
        told = f"{name}: F1 {case.before:.2f} -> {case.after:.2f}"
        lines.append(_text_line(len(heads) * step, {0: told}))
        tiles = [_tile(panel) for panel in row]
        lines.append(np.concatenate(tiles, axis=1))
    return np.concatenate(lines, axis=0)


def _attention(outcome: StartOutcome, images: Sequence[Picture]) -> list[npt.NDArray[np.float32]] | None:
    with outcome.finetuned.directory.local_copy(WEIGHTS_FILE) as path:
        detector: Detector = load_detector(path)
    backbone = backbone_in(detector)
    return None if backbone is None else attention(detector, backbone, images)


def _heated(image: Picture, values: npt.NDArray[np.float32]) -> Picture:
    """The map over the image; colours span its own values."""
    low, high = float(values.min()), float(values.max())
    scale = SIDE / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return heat_over(np.asarray(small, np.uint8), values, low, max(high, low + 1e-6))


def _truths(label: LabelRow) -> list[DrawnBox]:
    return [
        *(DrawnBox(sides(box), box["label"]) for box in label["boxes"]),
        *(DrawnBox(sides(box), f"{box['label']}, ignored") for box in label["ignored"]),
    ]


def _found(boxes: Sequence[Mapping[str, Any]], min_score: float) -> list[DrawnBox]:
    return [
        DrawnBox(sides(box), f"{box['label']} {box['score']:.2f}")
        for box in boxes
        if box["score"] > min_score
    ]


def _tile(panel: Picture) -> Picture:
    tile = np.full((SIDE + GAP, SIDE + GAP, 3), PAPER, np.uint8)
    tile[: panel.shape[0], : panel.shape[1]] = panel
    return tile


def _text_line(width: int, words: Mapping[int, str]) -> Picture:
    line = np.full((LINE, width, 3), PAPER, np.uint8)
    for left, word in words.items():
        text = word.encode("ascii", "replace").decode()
        cv2.putText(line, text, (left + 2, LINE - 8), FONT, 0.45, INK, 1, cv2.LINE_AA)
    return line
