"""`agssp export maps`: what is refused, and a file that the example runs without agssp."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from agssp import app
from cluster.storage.storage import Storage
from pipelines.image_maps import Mapper
from pipelines.surfaces.generator import write_corpus
from tests.onnx_session import session_of
from tests.repository import ROOT
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.starts.detector_file import save_detector


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON on stdout, stderr."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["maps.tiles=240"], "maps.tiles=240 can't be written as one file"),
        (["maps.method=winclip"], "maps.method=winclip can't be written"),
        (["maps.bank.mode=mutual"], "maps.bank.mode=mutual can't be written"),
        (["maps.precision=bf16"], "maps.precision=bf16 can't be written"),
    ],
    ids=str,
)
def test_maps_that_no_file_gives_are_refused(
    words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, result, _ = run("export", "maps", "--category", "rail", *words)
    assert code == 2
    assert reason in result["error"]
    assert not list(tmp_path.iterdir())


def test_a_detector_is_still_exported_without_a_further_word() -> None:
    for words in (["export"], ["export", "build"]):
        code, result, _ = run(*words, "--model", "none.safetensors")
        assert code == 2
        assert "none.safetensors" in result["error"]


@pytest.mark.slow
def test_the_file_maps_without_agssp(
    tracked: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(
        tmp_path / "photos", seed=3, images_per_category=12, size=72, defect_share=0.5, categories=["rail"]
    )
    words = [
        f"corpus.root={tmp_path / 'photos'}",
        f"workspace={tracked(tmp_path / 'w')}",
        "maps.kead.shots=2",
    ]
    code, result, stderr = run("export", "maps", "--category", "rial", *words)
    assert code == 2, stderr
    assert 'no category "rial"; did you mean "rail"?' in result["error"]
    (tmp_path / "file").write_text("")
    code, result, _ = run("export", "maps", "--category", "rail", "-o", str(tmp_path / "file/x.onnx"), *words)
    assert code == 2
    assert "can't be written" in result["error"]

    path = tmp_path / "made/rail.onnx"
    code, result, stderr = run("export", "maps", "--category", "rail", "-o", str(path), *words)
    assert code == 0, stderr
    assert [file.name for file in path.parent.iterdir()] == ["rail.onnx"]
    assert result["bytes"] == path.stat().st_size
    assert result["max_map_error"] < 1e-3
    contract = json.loads(next(e.value for e in onnx.load(path).metadata_props if e.key == "agssp"))
    assert contract["encoder"]["licence"].startswith("AGPL-3.0-or-later")
    code, made, _ = run("boxes", *words)
    assert contract["postprocessing"]["threshold"] == pytest.approx(made["results"]["thresholds"]["rail"])

    # Against the Python API, on images of other sizes than the checked ones.
    files = sorted((tmp_path / "photos").rglob("*good*/*.png"))[:2] or sorted(tmp_path.rglob("*.png"))[:2]
    photo = cv2.imread(str(files[0]))
    large = tmp_path / "large.png"
    cv2.imwrite(str(large), cv2.resize(photo, (301, 417), interpolation=cv2.INTER_CUBIC))
    (wanted,) = Mapper({"rail": files}, {"kead": {"shots": 2}, "runtime": "torch"})([large], "rail")
    runpy.run_path(str(ROOT / "examples/exported_maps.py"))["main"](str(path), str(large))
    score = float(capsys.readouterr().out.splitlines()[-1].partition("score ")[2].split(",")[0])
    assert 0 < score < 3
    anomalous = cv2.imread(f"{large}.anomalous.png", cv2.IMREAD_GRAYSCALE)
    assert anomalous is not None
    assert anomalous.shape == (417, 301)
    assert set(np.unique(anomalous)) <= {0, 255}
    session = session_of(path)
    image = cv2.cvtColor(cv2.imread(str(large)), cv2.COLOR_BGR2RGB)
    (small,), (exported,) = session.run(["map", "score"], {"images": image[None]})
    assert small.shape == wanted.map.shape
    assert exported == pytest.approx(score, abs=1e-3)

    torn = tmp_path / "torn.onnx"
    torn.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Exception, match=r"(?i)protobuf|fail"):
        session_of(torn)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["export.formats=[onnx-int8]"], "calibrated on images of the training part"),
        (["export.nms=true", "predict.tiles=auto"], "predict.tiles=auto joins boxes over seams"),
        (["export.formats=[tensorrt]"], "export.formats"),
    ],
    ids=str,
)
def test_files_that_cant_be_made_are_refused(
    words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, result, _ = run("export", "--model", "none.safetensors", *words)
    assert code == 2
    assert reason in result["error"]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_detector_with_its_suppression_is_copied_and_told(
    tracked: Callable[[Path], Path], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    detector = build_detector("yolov8n", ("crack", "hole"), Preprocessing(96, "square"))
    save_detector(detector, Storage.open(str(tmp_path)), "d.safetensors", {})
    words = ["export", "--model", str(tmp_path / "d.safetensors"), "--out", str(tmp_path / "out")]
    words += [f"workspace={tracked(tmp_path / 'w')}", "export.nms=true", "predict.min_score=0.001"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    told = " ".join(result.stdout.split())
    assert "PyTorch: unknown mAP" in told
    assert "generated pictures, as the config names no images" in told
    assert "detector-nms.onnx" in told
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"detector.onnx", "detector-nms.onnx", "detector.pt", "contract.json"}
    contract = json.loads((tmp_path / "out/contract.json").read_text())
    assert contract["onnx-nms"]["unmatched"] == 0
    assert contract["onnx-nms"]["detections"] > 10
    code, again, stderr = run(*words)
    assert code == 0, stderr
    assert again["reused"]
    assert again["results"]["further"] == {"onnx-nms": ["detector-nms.onnx"]}
