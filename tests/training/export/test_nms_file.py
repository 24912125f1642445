"""The file with all steps in it against `predict`, and by the example of onnxruntime and OpenCV alone."""

import json
import runpy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch

from tests.repository import ROOT
from training.export.nms_file import NmsCheck, nms_contract, write_nms
from training.export.nms_graph import Selection
from training.export.trial_images import laid_out
from training.models.detectors.base import Detector
from training.prediction.predict import ImagePrediction, predict
from training.runtimes.onnx_export import OnnxCheck, contract

FLOOR = 0.001  # an untrained detector is sure of nothing
SIZES = ((301, 417), (90, 60), (640, 200))  # width and height


def photo(width: int, height: int) -> Any:
    noise = np.random.default_rng(width).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def made(
    detector: Detector, exported: tuple[Path, OnnxCheck], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, NmsCheck]:
    path = tmp_path_factory.mktemp("nms") / "detector-nms.onnx"
    check = write_nms(
        detector,
        exported[0],
        path,
        contract=contract(detector, {"model": "steel@3"}),
        min_score=FLOOR,
        pictures=[laid_out(photo(*size), detector.preprocessing) for size in SIZES],
    )
    return path, check


def predicted(detector: Detector, pixels: Any) -> ImagePrediction:
    (one,) = predict(detector, {"a": pixels}, device=torch.device("cpu"), min_score=FLOOR)
    assert isinstance(one, ImagePrediction)
    return one


@pytest.mark.slow
def test_it_finds_what_agssp_finds(made: tuple[Path, NmsCheck]) -> None:
    assert made[1].detections > 50
    assert made[1].unmatched == 0
    assert made[1].max_box_error < 1e-2
    assert made[1].max_score_error < 1e-5


@pytest.mark.slow
def test_the_example_prints_the_boxes_of_agssp_predict(
    detector: Detector, made: tuple[Path, NmsCheck], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(ROOT / "examples/exported_detector.py"))["main"]
    for number, size in enumerate(SIZES):
        pixels = photo(*size)
        file = tmp_path / f"{number}.png"
        cv2.imwrite(str(file), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        main(str(made[0]), str(file))
        lines = [line.removeprefix(f"{file}: ") for line in capsys.readouterr().out.splitlines()]
        wanted = predicted(detector, pixels)
        assert len(lines) == len(wanted.boxes) > 10
        for line in lines:
            name, score, _, *sides = line.split()
            near = np.abs(wanted.boxes - [float(side) for side in sides]).max(axis=1) < 0.06
            same = near & (wanted.labels == detector.classes.index(name))
            assert np.abs(wanted.scores[same] - float(score)).min() < 1e-3


@pytest.mark.slow
def test_its_metadata_name_the_licences_and_that_nothing_remains(made: tuple[Path, NmsCheck]) -> None:
    (entry,) = onnx.load(str(made[0])).metadata_props
    told = json.loads(entry.value)
    assert told["licences"] == {"coco of yolov8n": "AGPL-3.0"}
    assert told["postprocessing"]["nms"].startswith(
        "in the file: by class, greedily by score, at IoU above 0.7"
    )
    assert told["postprocessing"]["min_score"] == FLOOR
    assert told["lineage"] == {"model": "steel@3"}


def test_a_detector_that_suppresses_nothing_says_so() -> None:
    rules = Selection(100, 1, 2, None, 0.25, 300, 30_000)
    told = nms_contract({"kind": "detector", "input": {}}, rules)
    assert told["postprocessing"]["nms"] == "none: each object is found once"
    assert told["outputs"]["boxes"].startswith("(batch, 200, 4)")  # no more than there are candidates
