"""The whole method by one command, on generated surfaces, as a user runs it."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

AGSSP = str(Path(sys.executable).parent / "agssp")
SMALL = [
    "generate.images_per_category=24",
    "generate.size=96",
    "generate.defect_share=0.8",
    "backbone.image_size=96",
    "backbone.loop.epochs=2",
    "detector.image_size=96",
    "detector.loop.epochs=2",
    "finetune.image_size=96",
    "finetune.loop.epochs=2",
]


def agssp(*words: str) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """Run the installed command; its JSON and the process."""
    # Ray's workers are polite (nice 15); a test waits for them.
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    done = subprocess.run(
        [AGSSP, *words, "--json"], capture_output=True, text=True, timeout=580, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1]), done


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "demo"


@pytest.fixture(scope="module")
def first(workspace: Path) -> dict[str, Any]:
    result, done = agssp("demo", f"workspace={workspace}", *SMALL)
    assert len(done.stdout.strip().splitlines()) == 1
    return result


@pytest.mark.slow
def test_run_reports_counts_quality_and_the_table_of_starts(first: dict[str, Any], workspace: Path) -> None:
    assert [row["start"] for row in first["table"]] == ["scratch", "agbp", "agssp"]
    for row in first["table"]:
        assert 0 <= row["map50_95"] <= row["map50"] <= 1
    assert 0 <= first["maps"]["pixel_auroc"] <= 1
    counts = first["counts"]["corpus"]
    assert counts["images"] == 3 * 24
    assert counts["references"] == 3 * 4
    assert first["reused"] == []
    assert first["model"]["name"] == "demo-finetune-yolov8n"
    assert first["model"]["alias"] == "candidate"
    report = Path(first["report"]).read_text()
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert first["model"]["name"] in report


@pytest.mark.slow
def test_tables_are_plain_parquet_and_pretraining_never_saw_the_test_split(
    first: dict[str, Any], workspace: Path
) -> None:
    def table(pattern: str) -> list[dict[str, Any]]:
        (path,) = workspace.glob(pattern)
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows

    manifest = table("corpus/*/manifest")
    held_out = {row["image_id"] for row in manifest if row["split"] == "test"}
    assert held_out
    maps = pq.read_table(next(workspace.glob("maps/*/maps")))
    assert maps.column("map").combine_chunks().to_numpy_ndarray().ndim == 3
    assert {row["image_id"] for row in manifest} == set(maps.column("image_id").to_pylist())
    boxes = table("boxes/*/boxes.parquet")
    assert not held_out & {row["image_id"] for row in boxes}
    assert any(row["boxes"] for row in boxes)
    pretrained = first["counts"]["backbone"]
    assert pretrained["images"] + pretrained["held_out_images"] == len(manifest) - len(held_out)


@pytest.mark.slow
def test_a_second_run_skips_every_stage(first: dict[str, Any], workspace: Path) -> None:
    again, _ = agssp("demo", f"workspace={workspace}", *SMALL)
    assert set(again["reused"]) == set(again["counts"])
    assert again["table"] == first["table"]
    assert again["model"] == first["model"]


@pytest.mark.slow
def test_the_registered_model_can_be_looked_up(first: dict[str, Any], workspace: Path) -> None:
    place, name = f"workspace={workspace}", "demo-finetune-yolov8n"
    models, _ = agssp("models", "list", place)
    assert [row["name"] for row in models["models"]] == [
        "demo-backbone-yolov8n",
        "demo-detector-yolov8n",
        name,
    ]
    shown, _ = agssp("models", "show", f"{name}@candidate", place)
    assert shown["version"] == 1
    for stage in ("corpus", "maps", "boxes", "backbone", "detector"):
        assert len(shown["lineage"][stage]) == 64
    made = shown["provenance"]
    assert made["parents"] == {"detector": "demo-detector-yolov8n@1"}
    assert made["corpus"] == shown["lineage"]["corpus"]
    assert len(made["prompts"]) == 64
    assert set(made["thresholds"]) == {"casting", "magnetic_tile", "rail"}
    assert made["seeds"] == {"surfaces": 7, "backbone": 0, "detector": 0, "finetune": 0}
    assert made["code_version"].startswith(f"{metadata.version('agssp')}+")
    (evaluation,) = shown["evaluations"].values()
    assert evaluation["metrics"]["map50"] == first["table"][-1]["map50"]
    above, _ = agssp("models", "lineage", name, place)
    assert above["parents"][0]["parents"][0]["reference"] == "demo-backbone-yolov8n@1"


@pytest.mark.slow
def test_the_registered_model_is_pulled_and_promoted(
    first: dict[str, Any], workspace: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    place, name = f"workspace={workspace}", "demo-finetune-yolov8n"
    pulled, _ = agssp("models", "pull", name, place, "--out", str(tmp_path))
    (own,) = (
        path
        for path in workspace.glob("finetune/*/detector.safetensors")
        if path.read_bytes() == Path(pulled["weights"]).read_bytes()
    )
    assert load_file(pulled["weights"]).keys() == load_file(own).keys()
    promoted, _ = agssp("models", "promote", name, place, "--dataset", "demo")
    assert (promoted["alias"], promoted["forced"]) == ("champion", False)
    best, _ = agssp("models", "show", "demo-*", place, "--best", "mAP50", "--dataset", "demo")
    assert best["aliases"] == ["candidate", "champion"]


@pytest.mark.slow
def test_the_doctor_finds_the_workspace_well(first: dict[str, Any], workspace: Path) -> None:
    findings, _ = agssp("doctor", f"workspace={workspace}")
    assert findings["ok"], findings
    assert any("surface-clip" in row["what"] for row in findings["rows"])


@pytest.mark.slow
def test_the_finetuned_file_opens_in_ultralytics(first: dict[str, Any], workspace: Path) -> None:
    from safetensors.torch import load_file

    from training.models.ultralytics_library import DetectionModel

    path = next(iter(sorted(workspace.glob("finetune/*/detector.safetensors"))))
    state = load_file(path)
    classes = len(json.loads(file_metadata(path))["classes"])
    DetectionModel("yolov8n.yaml", nc=classes, verbose=False).load_state_dict(state, strict=True)


def file_metadata(path: Path) -> str:
    """The JSON that the weights file says of itself."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata: str = file.metadata()["agssp"]
    return metadata
