"""Pseudo-boxes of no use are told before a detector learns them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from pipelines.tables.schemas import BOXES, LABELS, MANIFEST
from training.detection.agdp_stage import judged_by_labels

Box = dict[str, Any]


def box(place: int) -> Box:
    x0, y0 = 30.0 * (place % 2), 30.0 * (place // 2)
    return {"x0": x0, "y0": y0, "x1": x0 + 20, "y1": y0 + 20}


def stages(folder: Path, *, images: int, right: int) -> tuple[Artifact, Artifact]:
    """Images of two defects each, the last one held out, and pseudo-boxes, the first few of them right."""
    data = Storage.open(str(folder))
    manifest, labels, pseudo = [], [], []
    for number in range(images + 1):
        identity = {"image_id": f"{number:032x}", "uri": f"/{number}.png", "category": "tile"}
        split = "test" if number == images else "train"
        manifest.append(identity | {"width": 64, "height": 64, "split": split, "role": "train"})
        found = [box(0) | {"label": "dent"}, box(1) | {"label": "dent"}]
        labels.append({"image_id": identity["image_id"], "boxes": found, "mask": None, "ignored": None})
        place = 0 if number < right or split == "test" else 2
        pseudo.append({**identity, "width": 64, "height": 64, "boxes": [box(place) | {"score": 0.5}]})
    data.write_table("manifest/part-0.parquet", pa.Table.from_pylist(manifest, schema=MANIFEST))
    data.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    data.write_table("boxes.parquet", pa.Table.from_pylist(pseudo, schema=BOXES))
    corpus, boxes = (
        Artifact(name, name * 8, data, {"results": {}}, reused=True) for name in ("corpus", "boxes")
    )
    return corpus, boxes


def test_boxes_that_meet_few_defects_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = judged_by_labels(*stages(tmp_path, images=20, right=2))
    assert told == {"pseudo_boxes": {"right": 2 / 20, "met": 2 / 40, "defects": 40}}
    said = " ".join(capsys.readouterr().err.split())
    assert "10% of 20 pseudo-boxes are right and 5% of 40 defects are met" in said
    assert "detector.boxes=painted" in said


def test_good_boxes_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = judged_by_labels(*stages(tmp_path, images=20, right=10))
    assert told == {"pseudo_boxes": {"right": 0.5, "met": 0.25, "defects": 40}}
    assert capsys.readouterr().err == ""


def test_few_labels_tell_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judged_by_labels(*stages(tmp_path, images=9, right=0)) == {}
    assert capsys.readouterr().err == ""
