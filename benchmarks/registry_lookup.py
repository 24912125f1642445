"""`agssp models …` as typed, from the shell's start to its end, on an embedded registry of 500 versions."""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sqlalchemy
from safetensors.numpy import save_file

from benchmarks.registry import Row, at_most
from cluster.registry import Evaluation, Provenance, file_tags, register
from cluster.storage import Storage
from cluster.tracking import Tracker, TrackingSection

MODELS, VERSIONS, ROUNDS, GOAL = 10, 500, 5, 2.0
DATASET, NAME = "line", "line-0-finetune-yolov8n"
# The look-up that MLflow's own client would do.
MLFLOW = (
    "import sys; from mlflow import MlflowClient; c = MlflowClient(sys.argv[1], sys.argv[1]); "
    "c.search_registered_models(max_results=1000); print(len(c.search_model_versions(max_results=10000)))"
)


def run() -> Iterator[Row]:
    """Median wall seconds of each command, and of MLflow's client listing the same, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.open(f"{folder}/workspace")
        storage.create()
        tracker = Tracker.open(TrackingSection(), storage)
        fill(tracker, Path(folder))
        place, judged = f"workspace={storage.path}", ["--best", "mAP50", "--dataset", DATASET]
        commands = {
            "list": ["list", place],
            "versions '*' --best": ["versions", "*", place, *judged],
            "show": ["show", f"{NAME}@candidate", place],
            "show --best": ["show", "*", place, *judged],
            "compare": ["compare", f"{NAME}@1", f"{NAME}@2", place],
            "lineage": ["lineage", NAME, place],
            "pull": ["pull", NAME, place],
            "promote": ["promote", NAME, place, "--dataset", DATASET, "--force"],
        }
        times: dict[str, list[float]] = {name: [] for name in [*commands, "MLflow"]}
        for turn in range(ROUNDS):
            for name, words in commands.items():
                out = ["--out", f"{folder}/pulled-{turn}"] if name == "pull" else []
                command = [sys.executable, "-m", "agssp", "models", *words, *out, "--json"]
                times[name].append(seconds(command))
            times["MLflow"].append(seconds([sys.executable, "-c", MLFLOW, tracker.uri]))
    for name in commands:
        yield at_most(f"models {name}, {VERSIONS} versions: seconds", statistics.median(times[name]), GOAL)
    ours, theirs = (statistics.median(times[name]) for name in ("list", "MLflow"))
    yield Row("MLflow's client, listing the same: seconds", theirs)
    yield Row("models list against MLflow's client, wall time", ours / theirs)


def seconds(command: list[str]) -> float:
    """Wall time of a command that succeeds."""
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    return time.monotonic() - began


def fill(tracker: Tracker, folder: Path) -> None:
    """One version registered by the program; the rest of the 500 put beside it in MLflow's own tables."""
    run = tracker.create_run("finetune", {})
    weights = folder / "detector.safetensors"
    save_file({f"model.{n}.weight": np.zeros((64, 512), np.float32) for n in range(100)}, weights)
    run.log_file(weights, "finetune")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()

    def tags(number: int) -> dict[str, str]:
        evaluation = Evaluation(DATASET, "d" * 64, 100, {"map50": (number % 97) / 97, "map50_95": 0.25})
        provenance = Provenance(
            corpus="c" * 64,
            prompts="p" * 64,
            thresholds={f"category_{n}": n / 7 for n in range(10)},
            code_version="0.1.0+000000000000",
            seeds={"backbone": 0, "detector": 0, "finetune": number},
        )
        stages = ("maps", "boxes", "backbone", "detector", "surfaces", "encoder")
        return {
            "fingerprint": hashlib.sha256(str(number).encode()).hexdigest(),
            **{stage: hashlib.sha256(f"{stage}{number}".encode()).hexdigest() for stage in stages},
            **provenance.tags(),
            **evaluation.tags(),
            **file_tags({weights.name: digest}),
        }

    register(run, name=NAME, folder="finetune", tags=tags(1), description="a detector")
    engine = sqlalchemy.create_engine(tracker.uri)
    names = [f"line-{n}-finetune-yolov8n" for n in range(MODELS)]
    places = [(name, number) for number in range(1, VERSIONS // MODELS + 1) for name in names]
    with engine.begin() as connection:
        row = connection.execute(sqlalchemy.text("SELECT * FROM model_versions")).mappings().one()
        insert(connection, "registered_models", [{"name": n, "workspace": "default"} for n in names[1:]])
        others = [place for place in places if place != (NAME, 1)]
        versions = [{**row, "name": name, "version": number} for name, number in others]
        insert(connection, "model_versions", versions)
        entries = [
            {"name": name, "version": number, "key": key, "value": value, "workspace": "default"}
            for place, (name, number) in enumerate(others, start=2)
            for key, value in tags(place).items()
        ]
        insert(connection, "model_version_tags", entries)
    engine.dispose()
    listed = subprocess.run(
        [sys.executable, "-c", MLFLOW, tracker.uri], check=True, capture_output=True, text=True
    )
    if json.loads(listed.stdout) != VERSIONS:
        raise RuntimeError(f"the registry holds {listed.stdout.strip()} versions instead of {VERSIONS}")


def insert(connection: sqlalchemy.Connection, table: str, rows: list[dict[str, object]]) -> None:
    """Put rows into one of MLflow's tables."""
    columns = ", ".join(f'"{name}"' for name in rows[0])
    values = ", ".join(f":{name}" for name in rows[0])
    connection.execute(sqlalchemy.text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), rows)
