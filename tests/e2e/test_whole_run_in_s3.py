"""The whole method with its workspace in an object store, trainings' checkpoints and report among it."""

from pathlib import Path

import pytest

from cluster.storage.storage import Storage
from tests.e2e.test_whole_run import SMALL, agssp


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_demo_runs_with_its_workspace_in_an_object_store(
    tmp_path: Path, in_swift: dict[str, str]
) -> None:
    home = f"s3://plant/{tmp_path.name}/demo%201"
    words = [f"workspace={home}", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", *SMALL, "scaling.workers=0"]
    result, done = agssp("demo", *words, "generate.categories=[rail]")
    assert [row["start"] for row in result["table"]] == ["scratch", "agbp", "agssp"]
    assert result["model"]["alias"] == "candidate"
    assert result["reused"] == []
    assert in_swift["AWS_SECRET_ACCESS_KEY"] not in done.stderr
    workspace = Storage.open(home)
    for stage in ("corpus", "maps", "boxes", "backbone", "detector", "finetune"):
        for made in workspace.at(stage).children():
            record = workspace.at(stage, made).read("stage.json").decode()
            assert in_swift["AWS_SECRET_ACCESS_KEY"] not in record
    folder, _, report = result["report"].rpartition("/")
    assert Storage.open(folder).read(report).lstrip().lower().startswith(b"<!doctype html>")
    again, _ = agssp("demo", *words, "generate.categories=[rail]")
    assert set(again["reused"]) == set(again["counts"])
    assert again["table"] == result["table"]
