"""The whole method by one command, on generated surfaces, as a user runs it, into an object store.

Workspaces on a disk: see the tutorial (`tests/docs/test_run.py`) and the studies.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.storage.storage import Storage
from tests.in_process import run

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
    "finetune.starts=[scratch,agbp,agssp]",
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def store(swift: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """The object store, in this process's environment while these tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in swift.items():
            patch.setenv(name, value)
        yield swift


@pytest.fixture(scope="module")
def place(
    store: Mapping[str, str], tracked: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """The words that say where all is kept: files in the store, runs in a database here."""
    folder = tracked(tmp_path_factory.mktemp("runs"))
    return [f"workspace=s3://plant/{folder.name}/demo%201", f"tracking.uri=sqlite:///{folder}/mlflow.db"]


@pytest.fixture(scope="module")
def workspace(place: list[str]) -> Storage:
    return Storage.open(place[0].removeprefix("workspace="))


@pytest.fixture(scope="module")
def first(place: list[str], store: Mapping[str, str]) -> dict[str, Any]:
    """What the installed command says, in a process of its own: one line of JSON, and no secret."""
    command = [AGSSP, "demo", *place, *SMALL, "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=1100, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert store["AWS_SECRET_ACCESS_KEY"] not in done.stderr
    (line,) = done.stdout.strip().splitlines()
    result: dict[str, Any] = json.loads(line)
    return result


def artifacts(workspace: Storage, stage: str) -> list[Storage]:
    """The folders of a stage's artifacts."""
    return [workspace.at(stage, name) for name in workspace.at(stage).children()]


def table(directory: Storage, name: str) -> pa.Table:
    """A table as any program reads it that knows Parquet."""
    return pq.read_table(f"{directory.path}/{name}", filesystem=directory.filesystem)


def test_run_reports_counts_quality_and_the_table_of_starts(first: dict[str, Any]) -> None:
    assert [row["start"] for row in first["table"]] == ["scratch", "agbp", "agssp"]
    for row in first["table"]:
        assert 0 <= row["map50_95"] <= row["map50"] <= 1
    assert 0 <= first["maps"]["pixel_auroc"] <= 1
    counts = first["counts"]["corpus"]
    assert counts["images"] == 3 * 24
    assert counts["references"] == 3 * 4
    assert first["headline"]["verdict"] in ("gain", "tie", "loss", "few", "zero")
    assert first["reused"] == []
    assert first["model"]["name"] == "demo-finetune-yolov8n"
    assert first["model"]["alias"] == "candidate"
    folder, _, name = first["report"].rpartition("/")
    report = Storage.open(folder).read(name).decode()
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert first["model"]["name"] in report


def test_tables_are_plain_parquet_and_pretraining_never_saw_the_test_split(
    first: dict[str, Any], workspace: Storage
) -> None:
    (corpus,), (mapped,), (boxed,) = (artifacts(workspace, stage) for stage in ("corpus", "maps", "boxes"))
    manifest = table(corpus, "manifest").to_pylist()
    held_out = {row["image_id"] for row in manifest if row["split"] == "test"}
    assert held_out
    maps = table(mapped, "maps")
    assert maps.column("map").combine_chunks().to_numpy_ndarray().ndim == 3
    assert {row["image_id"] for row in manifest} == set(maps.column("image_id").to_pylist())
    boxes = table(boxed, "boxes.parquet").to_pylist()
    assert not held_out & {row["image_id"] for row in boxes}
    assert any(row["boxes"] for row in boxes)
    pretrained = first["counts"]["backbone"]
    assert pretrained["images"] + pretrained["held_out_images"] == len(manifest) - len(held_out)


def test_no_record_holds_a_secret(
    first: dict[str, Any], workspace: Storage, store: Mapping[str, str]
) -> None:
    for stage in ("corpus", "maps", "boxes", "backbone", "detector", "finetune"):
        found = artifacts(workspace, stage)
        assert found
        for directory in found:
            assert store["AWS_SECRET_ACCESS_KEY"] not in directory.read("stage.json").decode()


def test_a_second_run_skips_every_stage(first: dict[str, Any], place: list[str]) -> None:
    again, _ = run("demo", *place, *SMALL)
    assert set(again["reused"]) == set(again["counts"])
    assert again["table"] == first["table"]
    assert again["model"] == first["model"]


def test_the_registered_model_can_be_looked_up(first: dict[str, Any], place: list[str]) -> None:
    name = "demo-finetune-yolov8n"
    models, _ = run("models", "list", *place)
    assert [row["name"] for row in models["models"]] == [
        "demo-backbone-yolov8n",
        "demo-detector-yolov8n",
        name,
    ]
    shown, _ = run("models", "show", f"{name}@candidate", *place)
    assert shown["version"] == 1
    for stage in ("corpus", "maps", "boxes", "backbone", "detector"):
        assert len(shown["lineage"][stage]) == 64
    made = shown["provenance"]
    assert made["parents"] == {"detector": "demo-detector-yolov8n@1"}
    assert made["corpus"] == shown["lineage"]["corpus"]
    assert len(made["prompts"]) == 64
    assert set(made["thresholds"]) == {"copper_foil", "magnetic_tile", "steel_sheet"}
    assert made["seeds"] == {"surfaces": 7, "paint": 0, "backbone": 0, "detector": 0, "finetune": 0}
    assert made["code_version"].startswith(f"{metadata.version('agssp')}+")
    (evaluation,) = shown["evaluations"].values()
    assert evaluation["metrics"]["map50"] == first["table"][-1]["map50"]
    above, _ = run("models", "lineage", name, *place)
    assert above["parents"][0]["parents"][0]["reference"] == "demo-backbone-yolov8n@1"


def test_the_registered_model_is_pulled_and_promoted(
    first: dict[str, Any], workspace: Storage, place: list[str], tmp_path: Path
) -> None:
    from safetensors.torch import load, load_file

    name = "demo-finetune-yolov8n"
    pulled, _ = run("models", "pull", name, *place, "--out", str(tmp_path))
    trained = [directory.read("detector.safetensors") for directory in artifacts(workspace, "finetune")]
    (own,) = (weights for weights in trained if weights == Path(pulled["weights"]).read_bytes())
    assert load_file(pulled["weights"]).keys() == load(own).keys()
    promoted, _ = run("models", "promote", name, *place, "--dataset", "demo", "--force")
    found_nothing = promoted["value"] == 0  # so few epochs may not be enough; only then was force needed
    assert (promoted["alias"], promoted["forced"]) == ("champion", found_nothing)
    best, _ = run("models", "show", "demo-*", *place, "--best", "mAP50", "--dataset", "demo")
    assert best["aliases"] == ["candidate", "champion"]


def test_the_doctor_finds_the_workspace_well(first: dict[str, Any], place: list[str]) -> None:
    findings, _ = run("doctor", *place)
    assert findings["ok"], findings
    assert any("surface-clip" in row["what"] for row in findings["rows"])


def test_the_finetuned_file_opens_in_ultralytics(first: dict[str, Any], workspace: Storage) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file

    from training.models.ultralytics_library import DetectionModel

    with artifacts(workspace, "finetune")[0].local_copy("detector.safetensors") as path:
        state = load_file(path)
        with safe_open(path, framework="pt") as file:
            classes = len(json.loads(file.metadata()["agssp"])["classes"])
    DetectionModel("yolov8n.yaml", nc=classes, verbose=False).load_state_dict(state, strict=True)


def test_a_run_on_painted_defects_alone_makes_no_maps(
    first: dict[str, Any], workspace: Storage, place: list[str]
) -> None:
    painted = ["finetune.starts=[scratch,agssp]", "detector.boxes=painted", "detector.start=scratch"]
    result, _ = run("demo", *place, *SMALL, *painted, "name=painted")
    assert list(result["counts"]) == [
        *("surfaces", "corpus", "paint", "detector", "finetune scratch", "evaluate scratch"),
        *("finetune agssp", "evaluate agssp", "register", "report"),
    ]
    assert result["maps"] is None
    assert result["table"][0] == first["table"][0]
    shown, _ = run("models", "show", result["model"]["name"], *place)
    assert {"corpus", "paint", "detector"} <= set(shown["lineage"])
    assert not {"maps", "boxes", "backbone"} & set(shown["lineage"])
    folder, _, name = result["report"].rpartition("/")
    page = Storage.open(folder).read(name).decode()
    assert "There are no anomaly maps, as no start comes from them." in page
    assert "Painted defects</h3><img" in page
