"""The settings of a rule that suit labelled maps best, one setting after another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.box_rules.labelled_maps import LabelledMaps
from benchmarks.real_surfaces.box_quality import BoxQuality, box_quality
from cluster.config import merge
from pipelines.boxes import PseudoBoxSettings, category_thresholds
from pipelines.boxes.rows import box_rows

IOU = 0.5  # as in mAP@0.5
ROUNDS = 2  # times that every setting is tried anew
REGIONS: Mapping[str, Sequence[Any]] = {
    "most_regions": (1, 2, 3, 5, 10),
    "keep": ("largest", "highest"),
    "least_share": (0, 0.0025, 0.005, 0.01, 0.02, 0.04),
    "border_limit": (0.1, 0.3, 1),
    "gap": (0, 0.03, 0.1),
}
CUTS = (0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3)
SPACES: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "paper": {
        "c": (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1),
        "top_k": (1, 2, 3, 5, 10),
        "min_area": ("released", 100, 200, 400, 800, 1600),
        "nms_iou": (0.3, 0.5, 0.8),
    },
    "standardised": {
        "standardised.cut": CUTS,
        **{f"standardised.{name}": values for name, values in REGIONS.items()},
    },
    "hysteresis": {
        "hysteresis.low": CUTS,
        "hysteresis.high": (*CUTS, 4, 5, 6),
        **{f"hysteresis.{name}": values for name, values in REGIONS.items()},
    },
}
NORMAL_SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)  # of images, those with the lowest scores, without a box


def chosen(rule: str, maps: LabelledMaps, *, same_scores: bool) -> dict[str, Any]:
    """The values by setting that give the best F1: two rounds in which each setting in turn takes its best.

    Args:
        rule: the rule.
        maps: maps and labels to choose by.
        same_scores: whether scores of the images that the values are for are of the same kind, so that a
            number may be chosen for δ; otherwise it is Otsu's, or every image may have boxes.
    """
    deltas: list[float | str] = ["auto", 0.0]
    if same_scores:
        scores = maps.rows.column("score").to_numpy()
        deltas += [float(value) for value in np.quantile(scores, NORMAL_SHARES)]
    space = {"delta": deltas, **SPACES[rule]}
    measured: dict[PseudoBoxSettings, float] = {}

    def reached(values: Mapping[str, Any]) -> float:
        settings = settings_of(rule, values)
        if settings not in measured:
            measured[settings] = f1(quality(settings, maps))
        return measured[settings]

    values: dict[str, Any] = {}
    for _ in range(ROUNDS):
        for name, tried in space.items():
            others = [{**values, name: value} for value in tried]
            values = max([values, *(other for other in others if _rising(other))], key=reached)
    return values


def settings_of(rule: str, values: Mapping[str, Any]) -> PseudoBoxSettings:
    """A rule's settings; what `values` does not name is the default."""
    document: dict[str, Any] = {"rule": rule}
    for name, value in values.items():
        section, dot, key = name.partition(".")
        document = merge(document, {section: {key: value}} if dot else {name: value})
    return PseudoBoxSettings.model_validate(document)


def quality(settings: PseudoBoxSettings, maps: LabelledMaps) -> BoxQuality:
    """Quality of the boxes that the boxes stage makes of the maps, by their own statistics."""
    rows = box_rows(maps.rows, category_thresholds(maps.rows, settings), settings)
    return box_quality({row["image_id"]: row["boxes"] for row in rows.to_pylist()}, maps.truth, IOU)


def f1(of: BoxQuality) -> float:
    """Harmonic mean of precision and recall; 0 without a box that meets a defect."""
    together = of.precision + of.recall
    return 2 * of.precision * of.recall / together if together > 0 else 0.0


def _rising(values: Mapping[str, Any]) -> bool:
    own = PseudoBoxSettings().hysteresis
    return bool(values.get("hysteresis.low", own.low) <= values.get("hysteresis.high", own.high))
