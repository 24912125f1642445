"""Confusion against ultralytics' own, the tables of figures, and what a model costs."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from ultralytics.utils.metrics import ConfusionMatrix

from cluster import json_text
from tests.repository import ROOT
from tests.training.metrics.test_coco import CLASSES, random_images
from training.detection.data import Sample
from training.evaluation.cost import MIB, model_cost
from training.evaluation.metrics import FIGURES, measure
from training.metrics.coco import Detections, TrueObjects
from training.metrics.confusion import BACKGROUND, confusion_matrix
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.prediction.predict import ImagePrediction

CPU = torch.device("cpu")


@pytest.mark.parametrize("seed", range(6))
def test_confusion_equals_ultralytics(seed: int) -> None:
    truths, found = random_images(seed, 40)
    theirs = ConfusionMatrix(names=dict(enumerate(CLASSES)))
    for truth, one in zip(truths, found, strict=True):
        theirs.process_batch(
            {
                "cls": torch.from_numpy(one.labels),
                "conf": torch.from_numpy(one.scores),
                "bboxes": torch.from_numpy(one.boxes),
            },
            {"cls": torch.from_numpy(truth.labels), "bboxes": torch.from_numpy(truth.boxes)},
        )
    assert (confusion_matrix(truths, found, len(CLASSES)) == theirs.matrix.T).all()  # theirs: row found
    assert theirs.matrix.sum() > 20


def test_confusion_of_nothing_is_empty() -> None:
    none = TrueObjects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
    assert confusion_matrix([none], [nothing], 2).sum() == 0


def labelled(index: int, boxes: list[list[float]], labels: list[int]) -> Sample:
    corners = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return Sample(str(index), f"{index}.png", 200, 200, corners, np.array(labels, dtype=np.int64))


def test_figures_are_json_and_tables_name_classes() -> None:
    samples = [labelled(0, [[10, 10, 30, 30]], [0]), labelled(1, [], [])]
    hit = np.array([[10.0, 10, 30, 30], [50, 50, 80, 80]])
    found = [
        ImagePrediction("1", "1.png", 200, 200, hit[1:], np.array([0.3]), np.array([1])),
        ImagePrediction("0", "0.png", 200, 200, hit[:1], np.array([0.9]), np.array([0])),
    ]
    metrics = measure(samples, found, ("crack", "hole"), min_score=0.25)
    assert metrics.figures() == {
        "map50": pytest.approx(1), "map75": pytest.approx(1), "map50_95": pytest.approx(1),
        "small": pytest.approx(1), "medium": None, "large": None, "recall": pytest.approx(1),
    }  # fmt: skip
    assert set(metrics.figures()) == set(FIGURES)
    assert metrics.by_class()["hole"] is None
    assert json_text.strict(metrics.by_class()) == json.loads(json.dumps(metrics.by_class()))
    tables = metrics.tables()
    assert tables["confusion"].to_pylist() == [
        {"truth": "crack", "found": "crack", "count": 1},
        {"truth": BACKGROUND, "found": "hole", "count": 1},
    ]
    curve = tables["curves"].to_pylist()
    assert len(curve) == 101
    assert curve[100] == {"name": "crack", "recall": 1.0, "precision": pytest.approx(1), "score": 0.9}
    assert tables["classes"].column("name").to_pylist() == ["crack", "hole"]


def test_cost_of_yolov8n_is_what_its_authors_print() -> None:
    """8.7 GFLOPs at 640 pixels and 80 classes: a quarter of it at 320."""
    detector = build_detector("yolov8n", tuple(map(str, range(80))), Preprocessing(320, "square"))
    cost = model_cost(detector, torch.rand(2, 3, 320, 320), CPU)
    assert cost.gflops == pytest.approx(8.7 / 4, rel=0.01)
    assert cost.parameters == sum(p.numel() for p in detector.parameters())
    assert cost.parameters / 1e6 == pytest.approx(3.2, abs=0.05)
    assert cost.fps > 0
    assert cost.device.startswith("CPU, ")


def test_peak_memory_is_that_of_the_tensors_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = build_detector("yolov8n", ("a",), Preprocessing(64, "square"))
    weights = sum(tensor.nbytes for tensor in detector.state_dict().values())

    def chain(images: torch.Tensor, **options: object) -> list[object]:
        """Three arrays of 8 MiB, never more than two alive."""
        value = torch.zeros(2 * MIB)
        for _ in range(2):
            value = value + 1
        return []

    monkeypatch.setattr(detector, "predict", chain)
    cost = model_cost(detector, torch.zeros(1, 3, 64, 64), CPU)
    assert cost.peak_memory_mib == pytest.approx(weights / MIB + 16, abs=0.01)


PROFILED = """
import torch
from training.evaluation.cost import model_cost
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
detector = build_detector("yolov8n", ("dent",), Preprocessing(64, "square"))
print(model_cost(detector, torch.zeros(1, 3, 64, 64), torch.device("cpu")).parameters)
"""


def test_the_profiler_writes_no_lines() -> None:
    """Importing ultralytics sets a level at which it would; read by a process's first profiling."""
    command = [sys.executable, "-W", "ignore", "-c", PROFILED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1_000_000
    assert "profiler" not in done.stderr
