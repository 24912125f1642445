"""The interval of the best start's lead, from stored tables."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.verdicts import StartFigures
from pipelines.tables import LABELS, PREDICTIONS
from training.report.lead import compared_starts, lead_interval

IMAGES = 40


def stored(folder: Path, name: str, table: pa.Table) -> Artifact:
    storage = Storage.open(str(folder))
    storage.create()
    storage.write_table(name, table)
    return Artifact(folder.name, folder.name, storage, {}, reused=False)


def labelled(folder: Path, images: int = IMAGES) -> Artifact:
    rows = [
        {"image_id": f"{image:02d}", "boxes": [{"x0": 10, "y0": 10, "x1": 30, "y1": 30, "label": "dent"}]}
        for image in range(images)
    ]
    return stored(folder, "labels.parquet", pa.Table.from_pylist(rows, schema=LABELS))


def found(folder: Path, shift: float, images: int = IMAGES) -> Artifact:
    """One box in each image, shifted in every other one, and one of a class that the truth lacks."""
    rows = []
    for image in range(images):
        off = shift * (image % 2)
        box = {"x0": 10 + off, "y0": 10, "x1": 30 + off, "y1": 30, "score": 0.9, "label": "dent"}
        rows.append({"image_id": f"{image:02d}", "boxes": [box, {**box, "label": "unknown"}]})
    return stored(folder, "predictions.parquet", pa.Table.from_pylist(rows, schema=PREDICTIONS))


def start(name: str, precision: float) -> StartFigures:
    return StartFigures(name, precision, precision)


def test_the_lead_is_known_from_the_tables(tmp_path: Path) -> None:
    truth = labelled(tmp_path / "labels")
    evaluated = {"scratch": found(tmp_path / "far", 15), "agssp": found(tmp_path / "near", 0)}
    ahead = lead_interval([start("scratch", 0.3), start("agssp", 1.0)], evaluated, truth)
    assert ahead is not None
    assert 0 < ahead[0] < ahead[1] <= 1
    same = {"scratch": evaluated["agssp"], "agssp": evaluated["agssp"]}
    level = lead_interval([start("scratch", 1.0), start("agssp", 1.0)], same, truth)
    assert level is not None
    assert -0.1 < level[0] < 0 < level[1] < 0.1  # no difference seen on forty images is no proof of none


def test_one_start_has_no_lead(tmp_path: Path) -> None:
    truth, only = labelled(tmp_path / "labels"), found(tmp_path / "near", 0)
    assert lead_interval([start("agssp", 0.3)], {"agssp": only}, truth) is None
    assert lead_interval([start("scratch", 0.3)], {"scratch": only}, truth) is None


def test_evaluated_starts_are_compared_as_the_report_does(tmp_path: Path) -> None:
    """A lead, equal starts, seven boxes, nothing found, one start alone."""
    truth = labelled(tmp_path / "labels")
    far, near = found(tmp_path / "far", 15), found(tmp_path / "near", 0)

    def told(boxes: int = 40, **starts: tuple[Artifact, float]) -> dict[str, Any]:
        evaluated = {
            name: replace(artifact, record={"results": {"map50": value, "map50_95": value, "boxes": boxes}})
            for name, (artifact, value) in starts.items()
        }
        return compared_starts(evaluated, truth)

    ahead = told(scratch=(far, 0.3), agssp=(near, 1.0))
    assert ahead["verdict"] == "gain"
    assert 0 < ahead["interval"][0] < ahead["interval"][1] <= 1
    assert told(scratch=(near, 1.0), agssp=(near, 1.0))["verdict"] == "tie"
    assert told(7, scratch=(far, 0.3), agssp=(near, 1.0))["verdict"] == "few"
    assert told(scratch=(far, 0.0), agssp=(far, 0.0))["verdict"] == "zero"
    assert told(agssp=(near, 1.0)) | {"sentence": ""} == {"verdict": "none", "sentence": "", "interval": None}


def test_a_few_images_with_many_boxes_are_no_claim(tmp_path: Path) -> None:
    """Five images drawn anew show nothing beyond the least and the greatest of them: no 95 % interval."""
    starts = [start("scratch", 0.3), start("agssp", 1.0)]
    for images, known in ((1, False), (5, False), (6, True)):
        folder = tmp_path / str(images)
        truth = labelled(folder / "labels", images)
        evaluated = {
            name: found(folder / name, shift, images) for name, shift in (("scratch", 15), ("agssp", 0))
        }
        assert (lead_interval(starts, evaluated, truth) is not None) is known
        record = {"map50": 0.5, "boxes": 40 * images}
        results = {
            each.name: replace(
                evaluated[each.name], record={"results": {**record, "map50_95": each.map50_95}}
            )
            for each in starts
        }
        told = compared_starts(results, truth)
        assert (told["verdict"] == "few") is not known
        assert ("Too few test images for a claim" in told["sentence"]) is not known
