"""OpenVINO's files and those of 8 bits: their answers, figures, licences, and what is refused or said."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch

from cluster.errors import UserError
from cluster.stages import Artifact
from cluster.storage.storage import Storage
from pipelines.tables.schemas import LABELS, MANIFEST
from tests.repository import ROOT
from training.evaluation.section import EvaluateSection
from training.export.formats import FILES
from training.export.further_files import (
    Conditions,
    FurtherFiles,
    refuse_further,
    refuse_seams,
    write_further,
)
from training.export.section import ExportSection
from training.export.trial_images import TrialImages, trial_images
from training.export.trials import Trial, points_lost
from training.models.detectors.base import Detector
from training.models.tile_section import DetectorTiles
from training.prediction.predict import ImagePrediction, predict
from training.prediction.section import PredictSection
from training.runtimes.onnx_export import OnnxCheck, contract

WITH_OPENVINO = "openvino and nncf are the extra `openvino`: pip install 'agssp[openvino]'"


def corpus_of(folder: Path, detector: Detector, *, labelled: bool = True) -> Artifact:
    """Four images of each part; the labels are what PyTorch finds best, so that it is nearly always right."""
    rows, labels = [], []
    for number, split in enumerate(["train", "test", "unlabelled"] * 4):
        pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        pixels = cv2.resize(pixels, (240, 180), interpolation=cv2.INTER_CUBIC)
        path, image_id = folder / f"{number}.png", f"{number:02d}"
        cv2.imwrite(str(path), pixels)
        sides = {"width": 240, "height": 180, "levels": None}
        rows.append(
            {
                "image_id": image_id,
                "uri": str(path),
                "category": "a",
                "split": split,
                "role": "train",
                **sides,
            }
        )
        if split != "unlabelled" and labelled:
            (one,) = predict(detector, {image_id: str(path)}, device=torch.device("cpu"), min_score=0.001)
            assert isinstance(one, ImagePrediction)
            boxes = one.row(detector.classes)["boxes"][:5]
            kept = [{key: box[key] for key in ("x0", "y0", "x1", "y1", "label")} for box in boxes]
            labels.append({"image_id": image_id, "boxes": kept, "mask": None, "ignored": []})
    storage = Storage.open(str(folder))
    manifest = [field for field in MANIFEST if field.name in rows[0]]
    storage.write_table("manifest/part-0.parquet", pa.Table.from_pylist(rows, schema=pa.schema(manifest)))
    storage.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    return Artifact("corpus", "c", storage, {"inputs": {}}, reused=False)


@pytest.fixture(scope="module")
def corpus(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return corpus_of(tmp_path_factory.mktemp("corpus"), detector)


@pytest.fixture(scope="module")
def made(detector: Detector, corpus: Artifact, exported: tuple[Path, OnnxCheck]) -> tuple[Path, FurtherFiles]:
    pytest.importorskip("openvino", reason=WITH_OPENVINO)
    pytest.importorskip("nncf", reason=WITH_OPENVINO)
    section = ExportSection(
        formats=("openvino-fp32", "openvino-fp16", "openvino-int8", "onnx-int8"), calibration_images=6
    )
    further = write_further(
        section,
        Conditions(corpus, PredictSection(), EvaluateSection()),
        detector,
        source=exported[0],
        contract=contract(detector, {"model": "steel@3"}),
    )
    return exported[0].parent, further


@pytest.mark.slow
def test_every_file_is_tried_and_the_exact_ones_lose_nothing(made: tuple[Path, FurtherFiles]) -> None:
    document = made[1].document
    assert set(document["files"]) == {"onnx", *FILES}
    own = document["pytorch"]
    assert (own["measured_images"], own["held_out"]) == (4, True)
    assert own["map50"] > 0.5
    for name in ("onnx", "openvino-fp32"):
        trial = document["files"][name]
        assert trial["max_box_error"] < 1e-2
        assert trial["max_score_error"] < 1e-5
        assert abs(trial["points_lost"]) < 0.5
    assert document["files"]["openvino-fp16"]["max_score_error"] < 0.01
    for trial in document["files"].values():
        assert trial["latency_ms"] > 0
        assert trial["pictures"] == 4
        assert trial["points_lost"] == pytest.approx(
            100 * max(own[key] - trial[key] for key in ("map50", "map50_95"))
        )
    assert made[1].figures["openvino-int8.map50"] == document["files"]["openvino-int8"]["map50"]


@pytest.mark.slow
def test_what_loses_more_than_a_point_is_said(made: tuple[Path, FurtherFiles]) -> None:
    document = made[1].document
    losers = [name for name in FILES if document["files"][name]["points_lost"] > 1]
    said = {sentence.split()[0] for sentence in made[1].warnings}
    assert said == {FILES[name] for name in losers}
    assert document["warnings"] == list(made[1].warnings)


@pytest.mark.slow
def test_files_are_smaller_hold_8_bits_and_name_their_licences(made: tuple[Path, FurtherFiles]) -> None:
    import openvino

    folder, further = made
    trials = further.document["files"]
    whole = trials["openvino-fp32"]["bytes"]
    assert trials["openvino-fp16"]["bytes"] < 0.65 * whole
    assert trials["openvino-int8"]["bytes"] < 0.5 * whole
    assert trials["onnx-int8"]["bytes"] < 0.5 * trials["onnx"]["bytes"]
    for name, file in FILES.items():
        path = folder / file
        assert file in further.names[name]
        if path.suffix == ".onnx":
            model = onnx.load(str(path))
            (entry,) = model.metadata_props
            told = json.loads(entry.value)
            kinds = {node.op_type for node in model.graph.node}
            assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
        else:
            opened = openvino.Core().read_model(str(path))
            told = json.loads(opened.get_rt_info("agssp").value)
            quantised = any(one.get_type_name() == "FakeQuantize" for one in opened.get_ops())
            assert quantised == (name == "openvino-int8")
        assert told["licences"] == {"coco of yolov8n": "AGPL-3.0"}
        assert told["format"] == name
        assert told.get("calibration_images") == (6 if "int8" in name else None)


def test_no_image_of_the_test_part_is_calibrated_on(detector: Detector, corpus: Artifact) -> None:
    for calibration in (2, 100):
        images = trial_images(corpus, detector.classes, calibration=calibration, measured=3)
        split = {row["image_id"]: row["split"] for row in corpus.directory.read_table("manifest").to_pylist()}
        parts = [split[sample.image_id] for sample in images.training]
        assert parts == ["train"] * min(4, calibration) + ["unlabelled"] * (4 if calibration > 4 else 0)
        assert {split[sample.image_id] for sample in [*images.held_out, *images.labelled]} == {"test"}
        assert len(images.labelled) == 3
    assert TrialImages().shown(detector.preprocessing)[0].values.shape == (1, 3, 192, 192)


def test_without_labels_nothing_is_measured(detector: Detector, tmp_path: Path) -> None:
    images = trial_images(
        corpus_of(tmp_path, detector, labelled=False), detector.classes, calibration=2, measured=None
    )
    assert not images.labelled
    assert len(images.held_out) == 4


def trial(lost: float | None, name: str = "openvino-int8") -> Trial:
    return Trial(name, 1, 1, 0.0, 0.0, 0.5, 0.5, lost, 1.0, 1.0)


@pytest.mark.parametrize(
    ("lost", "name", "said"),
    [
        (0.99, "openvino-int8", None),
        (-3.0, "onnx-int8", None),
        (1.01, "openvino-int8", "f LOSES 1.0 POINTS of mAP"),
        (7.5, "openvino-fp16", "f LOSES 7.5 POINTS of mAP"),
        (float("nan"), "onnx-int8", "f LOSES nan POINTS"),
        (None, "onnx-int8", "f: nobody knows what 8 bits cost it"),
        (None, "openvino-fp16", None),
    ],
)
def test_a_loss_of_more_than_a_point_is_never_silent(lost: float | None, name: str, said: str | None) -> None:
    sentence = trial(lost, name).warning("f")
    assert (sentence is None) == (said is None)
    assert sentence is None or sentence.startswith(said or "")


def test_openvino_tells_nobody_that_it_is_used(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason=WITH_OPENVINO)
    code = "import cluster, openvino; assert openvino.Core; print('imported')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "imported\n"
    assert not (tmp_path / "intel").exists()  # where it keeps a number for this user


def test_what_pytorch_does_not_find_is_not_lost() -> None:
    nothing: dict[str, float | None] = {"map50": 0.0, "map50_95": 0.0}
    assert points_lost(nothing, nothing) is None
    assert points_lost({"map50": None, "map50_95": None}, {"map50": None, "map50_95": None}) is None
    lost = points_lost({"map50": 0.5, "map50_95": 0.3}, {"map50": 0.51, "map50_95": 0.28})
    assert lost == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("section", "predict_words", "reason"),
    [
        ({"formats": ["onnx-int8"]}, {}, "calibrated on images of the training part"),
        ({"nms": True}, {"tiles": "auto"}, "predict.tiles=auto joins boxes over seams"),
    ],
)
def test_what_no_file_gives_is_refused(
    section: dict[str, Any], predict_words: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        refuse_further(ExportSection(**section), PredictSection(**predict_words), images=False)


def test_tiles_that_the_detector_learnt_are_refused_too() -> None:
    section, learnt = ExportSection(nms=True), DetectorTiles(tiles=256)
    with pytest.raises(UserError, match="tiles=256, as the detector learnt, joins boxes over seams"):
        refuse_seams(section, PredictSection(), learnt)
    refuse_seams(section, PredictSection(tiles="off"), learnt)
    refuse_seams(ExportSection(), PredictSection(), learnt)


def test_a_format_named_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="named twice"):
        ExportSection(formats=("onnx-int8", "onnx-int8"))


def test_the_default_asks_for_nothing_more_and_keeps_its_fingerprint() -> None:
    assert ExportSection().deciding == {}
    assert not ExportSection().more
