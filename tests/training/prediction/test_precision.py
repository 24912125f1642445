"""Predictions in bf16: near those of float32, with a fingerprint of their own, and never taken unasked."""

import numpy as np
import pytest
import torch

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.boxes import ious
from pipelines.surfaces import generate
from tests.repository import ROOT
from training.evaluation import EvaluateSection
from training.models.detectors import Detector
from training.prediction.few_images import detect
from training.prediction.predict import ImagePrediction
from training.prediction.readiness import look_as
from training.prediction.runtime import LEAST_PIXELS, say_precision, take_runtime
from training.prediction.section import PredictSection
from training.serving import ServeSection
from training.starts import load_detector

BF16 = PredictSection(precision="bf16")
SURFACE = ROOT / "training/starts/surface/detector.safetensors"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector(SURFACE)


def found_by(detector: Detector, **settings: object) -> list[ImagePrediction]:
    images = [generate(3, index, size=128, defect_share=1).image for index in range(8)]
    found = detect(detector, images, min_score=0.1, **settings)  # type: ignore[arg-type]
    assert all(isinstance(one, ImagePrediction) for one in found)
    return found  # type: ignore[return-value]


def test_boxes_in_bf16_are_near_those_in_float32(detector: Detector) -> None:
    wanted = found_by(detector)
    answers = found_by(detector, precision="bf16")
    assert detector.precision == "fp32"
    assert sum(len(one.scores) for one in wanted) > 3
    differ = False
    for one, other in zip(wanted, answers, strict=True):
        sure = one.scores > 0.45  # of two less sure ones that overlap either may be suppressed
        for box, score in zip(one.boxes[sure], one.scores[sure], strict=True):
            overlaps = ious(box[None], other.boxes)[0]
            nearest = int(np.argmax(overlaps))
            assert overlaps[nearest] > 0.9
            assert abs(other.scores[nearest] - score) < 0.05
            differ = differ or other.scores[nearest] != score
    assert differ  # bf16 was taken at all


@pytest.mark.parametrize("section", [PredictSection, EvaluateSection])
def test_a_precision_decides_results_and_that_of_before_leaves_no_key(
    section: type[PredictSection] | type[EvaluateSection],
) -> None:
    assert "precision" not in section().deciding
    assert "precision" not in section().model_dump()
    assert section(precision="bf16").deciding["precision"] == "bf16"
    assert section(precision="bf16").model_dump()["precision"] == "bf16"
    with pytest.raises(ValueError, match="'fp32' or 'bf16'"):
        section(precision="fp16")


def test_a_server_takes_the_same_precisions() -> None:
    assert ServeSection().precision == "fp32"
    assert ServeSection(precision="bf16").precision == "bf16"


def test_onnxruntime_is_not_taken_beside_bf16(detector: Detector, tmp_path: object) -> None:
    work = Storage.open(str(tmp_path))
    assert not take_runtime(BF16, look_as(BF16, detector), work, inputs=LEAST_PIXELS, gpus=0)
    asked = BF16.model_copy(update={"runtime": "onnx"})
    with pytest.raises(UserError, match=r"predict\.runtime=onnx computes in float32"):
        take_runtime(asked, look_as(asked, detector), work, inputs=1, gpus=0)


@pytest.mark.parametrize(
    ("section", "products", "inputs", "words"),
    [
        (PredictSection(), ("avx512_bf16",), LEAST_PIXELS, "predict.precision=bf16 takes about two thirds"),
        (PredictSection(), ("avx512_bf16",), 10, ""),
        (PredictSection(), (), LEAST_PIXELS, ""),
        (BF16, (), 10, "predict.precision=fp32 is as fast or faster"),
        (BF16, ("amx_bf16",), 10, ""),
    ],
)
def test_a_precision_that_suits_the_cpu_is_named(
    section: PredictSection,
    products: tuple[str, ...],
    inputs: int,
    words: str,
    detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cluster.cpu_products.bf16_products", lambda: products)
    say_precision(section, detector, inputs=inputs)
    said = " ".join(capsys.readouterr().err.split())
    assert words in said if words else not said


def test_a_networks_weights_are_left_in_float32(detector: Detector) -> None:
    found_by(detector, precision="bf16")
    assert {value.dtype for value in detector.state_dict().values() if value.is_floating_point()} == {
        torch.float32
    }
