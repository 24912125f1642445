"""The evaluate stage: its tables, its record, and what the report makes of them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch

from cluster.errors import UserError
from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.tables.schemas import LABELS, MANIFEST
from tests.silent_tracking import SilentPipeline
from training.evaluation.section import EvaluateSection
from training.evaluation.stage import evaluate_detector
from training.metrics.confusion import BACKGROUND
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.report.figures import detector_figures
from training.starts.detector_file import save_detector

SIDE = 64


def artifact(stage: str, directory: Storage, **results: object) -> Artifact:
    record = {"results": results, "config": {}, "seconds": 1.0}
    return Artifact(stage, stage, directory, record, reused=False)


@pytest.fixture
def corpus(tmp_path: Path) -> Artifact:
    """Three test images, one with a class that the detector does not know, and one training image."""
    directory, rng = Storage.open(str(tmp_path / "corpus")), np.random.default_rng(0)
    manifest, labels = [], []
    for number, names in enumerate((("crack",), ("crack", "dent"), (), ("crack",))):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))
        about = {"image_id": str(number), "uri": str(path), "category": "surface", "role": "train"}
        manifest.append({**about, "split": "test" if number < 3 else "train", "width": SIDE, "height": SIDE})
        boxes = [{"x0": 5.0, "y0": 6.0, "x1": 30.0, "y1": 40.0, "label": name} for name in names]
        labels.append({"image_id": str(number), "boxes": boxes, "mask": None})
    directory.write_table("manifest/part-0.parquet", pa.Table.from_pylist(manifest, schema=MANIFEST))
    directory.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    return artifact("corpus", directory)


@pytest.fixture
def finetuned(tmp_path: Path) -> Artifact:
    directory = Storage.open(str(tmp_path / "finetune"))
    torch.manual_seed(0)
    detector = build_detector("yolov8n", ("crack", "hole"), Preprocessing(SIDE, "square"))
    save_detector(detector, directory, "detector.safetensors", {})
    return artifact("finetune", directory, start="scratch")


def evaluated(corpus: Artifact, finetuned: Artifact, folder: Path, section: EvaluateSection) -> Artifact:
    workspace = Storage.open(str(folder))
    pipeline = SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {})
    return evaluate_detector(section, site=Site(workspace, pipeline), corpus=corpus, finetuned=finetuned)


def test_every_figure_is_kept_and_told(corpus: Artifact, finetuned: Artifact, tmp_path: Path) -> None:
    made = evaluated(corpus, finetuned, tmp_path, EvaluateSection())
    results = made.results
    assert (results["images"], results["backgrounds"], results["boxes"]) == (3, 1, 3)
    assert set(results["classes"]) == {"crack", "hole", "dent"}
    assert results["classes"]["hole"] is None  # no true box of it
    assert results["classes"]["dent"]["map50"] == 0  # it can't be found
    assert results["large"] is None
    assert results["gflops"] > 0
    assert results["peak_memory_mib"] > 0
    summary = made.directory.read_json("metrics.json")
    assert summary["map50"] == results["map50"]
    assert summary["cost"]["parameters"] == results["parameters"]
    confusion = made.directory.read_table("confusion.parquet").to_pylist()
    assert sum(cell["count"] for cell in confusion if cell["truth"] != BACKGROUND) == 3
    assert made.directory.read_table("predictions.parquet").num_rows == 3
    figures = detector_figures(made)
    assert list(figures.names) == ["crack", "hole", "dent", BACKGROUND]
    assert len(figures.curves["crack"]) == 101
    assert sum(map(sum, figures.confusion)) == sum(cell["count"] for cell in confusion)


def test_ignored_regions_count_neither_as_truth_nor_as_background(
    corpus: Artifact, finetuned: Artifact, tmp_path: Path
) -> None:
    """The image without boxes turns out to be one whole region, of a class that no box has."""
    plain = evaluated(corpus, finetuned, tmp_path, EvaluateSection(min_score=0))
    labels = corpus.directory.read_table("labels.parquet").to_pylist()
    whole = {"x0": 0.0, "y0": 0.0, "x1": float(SIDE), "y1": float(SIDE), "label": "fray"}
    labels[2]["ignored"] = [whole]
    corpus.directory.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    renamed = replace(corpus, fingerprint="another")
    made = evaluated(renamed, finetuned, tmp_path, EvaluateSection(min_score=0))
    results = made.results
    assert (results["images"], results["backgrounds"], results["boxes"]) == (3, 0, 3)
    assert results["ignored_regions"] == 1
    assert results["classes"]["fray"] is None
    false = [
        sum(cell["count"] for cell in one.directory.read_table("confusion.parquet").to_pylist())
        for one in (plain, made)
    ]
    found = plain.directory.read_table("predictions.parquet").to_pylist()
    assert false[0] - false[1] == sum(len(row["boxes"]) for row in found if row["image_id"] == "2") > 0


def test_the_threshold_decides_and_the_batch_size_does_not(
    corpus: Artifact, finetuned: Artifact, tmp_path: Path
) -> None:
    first = evaluated(corpus, finetuned, tmp_path, EvaluateSection())
    assert evaluated(corpus, finetuned, tmp_path, EvaluateSection(batch_size=1)).reused
    other = evaluated(corpus, finetuned, tmp_path, EvaluateSection(min_score=0.5))
    assert other.fingerprint != first.fingerprint


def test_other_tiles_than_those_of_the_training_are_told(
    corpus: Artifact, finetuned: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(corpus, finetuned, tmp_path, EvaluateSection())
    assert "finetune.tiles" not in capsys.readouterr().err
    evaluated(corpus, finetuned, tmp_path, EvaluateSection(tiles=32))
    assert "learnt with finetune.tiles=off and is measured with evaluate.tiles=32" in capsys.readouterr().err
    of_tiles = replace(finetuned, record={**finetuned.record, "config": {"tiles": 32}})
    told = evaluated(corpus, of_tiles, tmp_path, EvaluateSection(tiles=32))
    assert "finetune.tiles" not in capsys.readouterr().err
    # By default as the training's, though this file, as those of former versions, does not say so.
    assert evaluated(corpus, of_tiles, tmp_path, EvaluateSection()).fingerprint == told.fingerprint
    assert "finetune.tiles" not in capsys.readouterr().err
    evaluated(corpus, of_tiles, tmp_path, EvaluateSection(tiles="off"))
    assert "finetune.tiles=32 and is measured with evaluate.tiles=off" in capsys.readouterr().err


def test_an_image_that_is_gone_is_named(corpus: Artifact, finetuned: Artifact, tmp_path: Path) -> None:
    (tmp_path / "1.png").unlink()
    with pytest.raises(UserError, match=r"1\.png can't be read any more"):
        evaluated(corpus, finetuned, tmp_path, EvaluateSection())
