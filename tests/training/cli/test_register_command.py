"""`agssp register`: detectors of given starts get into the registry; the certificate knows their images."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agssp import app
from pipelines.surfaces.generator import write_corpus

TINY = [
    "name=line",
    "scaling.workers=0",
    "finetune.starts=[scratch]",
    "finetune.image_size=64",
    "finetune.validation_share=0",
    "finetune.loop.best_metric=null",
    "finetune.loop.epochs=1",
    "certify.robust_images=10",
    "certify.latency_images=3",
]


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON on stdout, stderr."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rails") / "made"
    write_corpus(folder, seed=3, images_per_category=24, size=64, defect_share=0.6, categories=["rail"])
    return folder


@pytest.mark.parametrize("own", [False, True], ids=["of the corpus", "of labels of their own"])
def test_a_detector_of_a_given_start_is_registered_without_any_pretraining(
    own: bool, photos: Path, tmp_path: Path, tracked: Callable[[Path], Path]
) -> None:
    workspace = tracked(tmp_path / "w")
    images = f"{{train: {{root: {photos}}}}}"
    words = [*TINY, f"workspace={workspace}"]
    words.append(f"finetune.data={images}" if own else f"corpus.root={photos}")
    code, made, stderr = run("register", *words)
    assert code == 0, stderr
    assert (made["results"]["name"], made["results"]["version"]) == ("line-finetune-yolov8n", 1)
    assert made["results"]["parents"] == {}
    stages = {path.name for path in workspace.iterdir() if path.is_dir()}
    assert stages.isdisjoint({"maps", "boxes", "backbone", "detector"})
    code, certified, stderr = run("certify", "line-finetune-yolov8n@candidate", *words)
    assert code == 0, stderr
    assert certified["results"]["verdicts"][0]["kind"] == "clean"
    code, again, stderr = run("register", *words)
    assert (code, again["reused"], again["results"]["version"]) == (0, True, 1), stderr
