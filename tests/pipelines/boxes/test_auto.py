"""boxes.rule=auto: what it reads, what it refuses, and that other rules keep their fingerprints."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import UserError
from cluster.stages import Artifact
from cluster.storage.storage import Storage
from pipelines.boxes import BoxesSection, PseudoBoxSettings, category_thresholds
from pipelines.boxes.choice import CHOICE_FILE, chosen_settings
from pipelines.boxes.rows import box_rows
from pipelines.image_maps import AnomalyMap, boxes_of
from pipelines.maps import map_schema


def audit_of(folder: Path, document: dict[str, Any]) -> Artifact:
    storage = Storage.open(str(folder))
    storage.create()
    storage.write_json(CHOICE_FILE, document)
    return Artifact("audit", "a" * 16, storage, {"results": {}}, reused=True)


CUT = PseudoBoxSettings.model_validate({"rule": "standardised", "delta": 0, "standardised": {"cut": 2}})


def test_the_choice_is_read_back_as_it_was_tried_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "plate": {"settings": CUT.deciding(), "sentence": '"plate" takes this, because.'},
        "rail": {"settings": PseudoBoxSettings(c=0.3).deciding(), "sentence": '"rail" takes that.'},
    }
    settings, rules = chosen_settings(audit_of(tmp_path, document), ["rail", "plate"])
    assert settings == {"plate": CUT, "rail": PseudoBoxSettings(c=0.3)}
    assert rules == document
    assert 'boxes: "plate" takes this, because.' in capsys.readouterr().err


def test_a_category_without_a_choice_is_one_sentence(tmp_path: Path) -> None:
    document = {"plate": {"settings": None, "sentence": '"plate" has 1 painted defect.'}}
    with pytest.raises(
        UserError, match=r'for "plate": "plate" has 1 painted defect. Give another boxes.rule'
    ):
        chosen_settings(audit_of(tmp_path, document), ["plate"])


def test_no_single_map_decides_auto() -> None:
    one = AnomalyMap("a.png", "plate", 8, 8, 1.0, np.ones((2, 2), np.float32))
    with pytest.raises(UserError, match=r"boxes\.rule=auto is decided by an audit"):
        boxes_of([one], {"rule": "auto", "delta": 0})


def test_auto_is_decided_by_the_audit_alone_and_others_by_what_they_were() -> None:
    auto = BoxesSection.model_validate({"rule": "auto"})
    assert auto.deciding() == {"rule": "auto", "export_yolo": True}
    moved = BoxesSection.model_validate({"rule": "auto", "c": 0.5, "hysteresis": {"low": 1}, "delta": 1})
    assert moved.deciding() == auto.deciding()
    paper = {"c": 0.1, "delta": "auto", "top_k": 10, "nms_iou": 0.8, "min_area": "released"}
    assert BoxesSection().deciding() == {**paper, "export_yolo": True}
    for rule in ("standardised", "hysteresis"):
        own = getattr(BoxesSection(), rule).model_dump(mode="json")
        explicit = BoxesSection.model_validate({"rule": rule}).deciding()
        assert explicit == {**paper, "rule": rule, rule: own, "export_yolo": True}


def test_each_category_has_its_own_settings() -> None:
    rng = np.random.default_rng(0)
    stack = rng.normal(0, 0.1, (4, 16, 16))
    stack[:, 4:8, 4:8] += 2
    peaks = stack.reshape(4, -1).max(1)
    columns = {
        "image_id": [f"{number:032x}" for number in range(4)],
        "uri": ["x"] * 4,
        "category": ["plate", "rail"] * 2,
        "width": [16] * 4,
        "height": [16] * 4,
        "score": peaks,
        "map_max": peaks,
        "map": pa.FixedShapeTensorArray.from_numpy_ndarray(stack.astype(np.float16)),
    }
    schema = map_schema(16)
    rows = pa.table([columns[name] for name in schema.names], schema=schema)
    other = PseudoBoxSettings(delta=0, c=0.4, min_area=3)
    together = {"plate": CUT, "rail": other}
    done = box_rows(rows, category_thresholds(rows, together), together).to_pylist()
    for settings, category in ((CUT, "plate"), (other, "rail")):
        alone = box_rows(rows, category_thresholds(rows, settings), settings).to_pylist()
        mine = [row for row in done if row["category"] == category]
        assert mine == [row for row in alone if row["category"] == category]
        assert all(row["boxes"] for row in mine)
