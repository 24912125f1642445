"""The benchmark `trained_maps`: maps learnt from painted defects, on test halves of real sets."""

from collections.abc import Iterator

from benchmarks.box_rules.audit import ways_of
from benchmarks.box_rules.choice import IOU, f1, quality
from benchmarks.box_rules.labelled_maps import halves_of, real_project, workspace
from benchmarks.box_rules.measure import SHOTS
from benchmarks.registry import SHARED_DATA, Row, at_least
from cluster.errors import UserError
from pipelines.maps import MapsSection
from training.opening import open_pipeline

ENCODERS = ("clip", "efficientnet-lite0")
GOALS = {"image_auroc": 0.88, "pixel_auroc": 0.85, "magnetic_tile": 28, "neu_det": 30}


def run() -> Iterator[Row]:
    """AUROC of images and pixels, and boxes by every rule's defaults and by the audit's choice.

    The head and the audit see the first half of each set and no label of a defect; all figures are of the
    other half.
    """
    for name in SHOTS:
        if not (SHARED_DATA / name).is_dir():
            yield Row(f"{name}: painted", None, f"skipped, {SHARED_DATA / name} is absent")
            continue
        for encoder in ENCODERS:
            try:
                yield from rows_of(name, encoder)
            except UserError as fault:
                yield Row(f"{name}, painted, {encoder}", None, f"skipped, {fault}")


def rows_of(name: str, encoder: str) -> Iterator[Row]:
    """Rows of one set and one encoder of the head's features."""
    maps = MapsSection.model_validate({"method": "painted", "painted": {"encoder": encoder}})
    project = real_project(workspace(), name, 0).model_copy(update={"maps": maps})
    with open_pipeline(project, "trained maps", "maps") as pipeline:
        head, audit, measured = pipeline.head, pipeline.audit, pipeline.map_quality
        judged = halves_of(pipeline.corpus, pipeline.maps)["test"]
    what = f"{name}, painted, {encoder}"
    yield Row(f"{what}: seconds to train, features included", head.record["seconds"])
    yield Row(f"{what}: pixel AUROC on held-out painted images", head.results["pixel_auroc"])
    for figure in ("image_auroc", "pixel_auroc"):
        if measured.results[figure] is not None:
            yield at_least(f"{what}: {figure}", measured.results[figure], GOALS[figure])
    for way, settings in ways_of(name, audit).items():
        reached = quality(settings, judged)
        yield Row(f"{what}, {way}: percent of {reached.boxes} boxes right", reached.precision * 100)
        yield Row(f"{what}, {way}: percent of {reached.defects} defects met", reached.recall * 100)
        yield at_least(f"{what}, {way}: F1 at IoU {IOU:g}, percent", f1(reached) * 100, GOALS[name])
