"""Pseudo-boxes of no use are told before a detector learns them, and not learnt where labels may choose."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from pipelines.tables.schemas import BOXES, LABELS, MANIFEST
from training.detection.judged_boxes import choosing_images, judged_by_labels, with_chosen_boxes
from training.detection.section import DetectorSection, FinetuneSection

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


def images(numbers: range) -> frozenset[str]:
    return frozenset(f"{number:032x}" for number in numbers)


@pytest.mark.parametrize(
    ("right", "judging", "boxes", "why"),
    [
        (10, range(20), "both", "50% of 20 pseudo-boxes are right and 25% of 40 defects are met"),
        (2, range(20), "painted", "10% of 20 pseudo-boxes are right and 5% of 40 defects are met"),
        # Of the images that may choose, each pseudo-box is right; those of the others are not asked.
        (10, range(10), "both", "100% of 10 pseudo-boxes are right and 50% of 20 defects are met"),
        (10, range(9), "painted", "18 labelled defects can't tell"),
        (10, range(0), "painted", "0 labelled defects can't tell"),
    ],
)
def test_labels_choose_which_boxes_are_learnt(
    right: int, judging: range, boxes: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, pseudo = stages(tmp_path, images=20, right=right)
    chosen = with_chosen_boxes(DetectorSection(boxes="auto"), images(judging), corpus, lambda: pseudo)
    assert chosen.deciding == DetectorSection.model_validate({"boxes": boxes, "start": "coco"}).deciding
    said = " ".join(capsys.readouterr().err.split())
    assert why in said
    assert f"(detector.boxes={boxes})" in said


def test_no_maps_are_made_for_labels_that_can_tell_nothing(tmp_path: Path) -> None:
    def made() -> Artifact:
        raise AssertionError("pseudo-boxes were asked for")

    corpus, _ = stages(tmp_path, images=20, right=20)
    assert with_chosen_boxes(DetectorSection(boxes="auto"), images(range(9)), corpus, made).boxes == "painted"


@pytest.mark.parametrize(("limit", "count"), [(None, 20), (7, 7)])
def test_only_labels_that_the_finetuning_learns_may_choose(
    limit: int | None, count: int, tmp_path: Path
) -> None:
    corpus, _ = stages(tmp_path, images=20, right=20)
    chosen = [choosing_images(FinetuneSection(limit=limit), corpus) for _ in range(2)]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == count
    assert chosen[0] <= images(range(20))  # image 20 is held out
