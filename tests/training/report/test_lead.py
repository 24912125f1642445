"""The interval of the best start's lead, from stored tables."""

from pathlib import Path

import pyarrow as pa

from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from pipelines.tables import LABELS, PREDICTIONS
from training.report.data import StartRow
from training.report.lead import lead_interval

IMAGES = 40


def stored(folder: Path, name: str, table: pa.Table) -> Artifact:
    storage = Storage.open(str(folder))
    storage.create()
    storage.write_table(name, table)
    return Artifact(folder.name, folder.name, storage, {}, reused=False)


def labelled(folder: Path) -> Artifact:
    rows = [
        {"image_id": f"{image:02d}", "boxes": [{"x0": 10, "y0": 10, "x1": 30, "y1": 30, "label": "dent"}]}
        for image in range(IMAGES)
    ]
    return stored(folder, "labels.parquet", pa.Table.from_pylist(rows, schema=LABELS))


def found(folder: Path, shift: float) -> Artifact:
    """One box in each image, shifted in every other one, and one of a class that the truth lacks."""
    rows = []
    for image in range(IMAGES):
        off = shift * (image % 2)
        box = {"x0": 10 + off, "y0": 10, "x1": 30 + off, "y1": 30, "score": 0.9, "label": "dent"}
        rows.append({"image_id": f"{image:02d}", "boxes": [box, {**box, "label": "unknown"}]})
    return stored(folder, "predictions.parquet", pa.Table.from_pylist(rows, schema=PREDICTIONS))


def start(name: str, precision: float) -> StartRow:
    return StartRow(name, precision, precision, {}, None, 1.0)


def test_the_lead_is_known_from_the_tables(tmp_path: Path) -> None:
    truth = labelled(tmp_path / "labels")
    evaluated = {"scratch": found(tmp_path / "far", 15), "agssp": found(tmp_path / "near", 0)}
    ahead = lead_interval([start("scratch", 0.3), start("agssp", 1.0)], evaluated, truth)
    assert ahead is not None
    assert 0 < ahead[0] < ahead[1] <= 1
    same = {"scratch": evaluated["agssp"], "agssp": evaluated["agssp"]}
    assert lead_interval([start("scratch", 1.0), start("agssp", 1.0)], same, truth) == (0.0, 0.0)


def test_one_start_has_no_lead(tmp_path: Path) -> None:
    truth, only = labelled(tmp_path / "labels"), found(tmp_path / "near", 0)
    assert lead_interval([start("agssp", 0.3)], {"agssp": only}, truth) is None
    assert lead_interval([start("scratch", 0.3)], {"scratch": only}, truth) is None
