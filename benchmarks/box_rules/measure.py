"""The benchmark `box_rules`: every rule on halves of real sets that had no part in choosing its settings."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.box_rules.choice import IOU, SPACES, chosen, f1, quality, settings_of
from benchmarks.box_rules.labelled_maps import generated, real, workspace
from benchmarks.registry import SHARED_DATA, Row
from cluster.progress import say

SHOTS = {"neu_det": 0, "magnetic_tile": 4}  # no strip of neu_det is normal


def run() -> Iterator[Row]:
    """Precision, recall and F1 of boxes on the second half of each set.

    A rule's settings are its defaults, those chosen on generated surfaces (whose scores say nothing of δ), or
    those chosen on the first half.
    """
    folder = workspace()
    for name, shots in SHOTS.items():
        if not (SHARED_DATA / name).is_dir():
            yield Row(f"{name}: boxes", None, f"skipped, {SHARED_DATA / name} is absent")
            continue
        halves, surfaces = real(folder, name, shots), generated(folder, shots)
        for rule in SPACES:
            ways: Mapping[str, dict[str, Any]] = {
                "defaults": {},
                "chosen on surfaces": chosen(rule, surfaces, same_scores=False),
                "chosen on other half": chosen(rule, halves["train"], same_scores=True),
            }
            for way, values in ways.items():
                say(f"{name}, {rule}, {way}: {values}")
                judged = halves["test"]
                boxed = {image: boxes for image, boxes in judged.truth.items() if boxes}
                reached = quality(settings_of(rule, values), judged)
                known = quality(settings_of(rule, values), replace(judged, truth=boxed))
                what = f"{name}, {rule}, {way}"
                yield Row(f"{what}: percent of {reached.boxes} boxes right", reached.precision * 100)
                yield Row(f"{what}: percent of {reached.defects} defects met", reached.recall * 100)
                yield Row(
                    f"{what}: percent right of {known.boxes} boxes on defective images", known.precision * 100
                )
                yield Row(f"{what}: F1 at IoU {IOU:g}, percent", f1(reached) * 100)
