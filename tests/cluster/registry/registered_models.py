"""Registered models for tests: real weights files in a real registry."""

import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from cluster.registry.provenance import Evaluation, Provenance, file_tags
from cluster.registry.registry import register
from cluster.tracking.run import Run
from cluster.tracking.tracker import Tracker

NAME = "line-finetune-yolov8n"
DATASET, DIGEST = "line", "d" * 64


def judged(value: float, dataset: str = DATASET, digest: str = DIGEST) -> Evaluation:
    """An evaluation with one figure twice."""
    return Evaluation(dataset, digest, 12, {"map50": value, "map50_95": value / 2})


def weights_run(tracker: Tracker, folder: Path, value: float = 1.0) -> tuple[Run, dict[str, str]]:
    """A run that holds weights and their JSON, and sha256 by file name."""
    run = tracker.create_run("detector", {})
    folder.mkdir(exist_ok=True)
    save_file({"model.0.conv.weight": np.full((2, 3), value, np.float32)}, folder / "detector.safetensors")
    (folder / "model.json").write_text(json.dumps({"value": value}))
    digests = {}
    for path in sorted(folder.iterdir()):
        run.log_file(path, "weights")
        digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    run.log_metrics({"map50": value})
    return run, digests


def registered(
    run: Run,
    digests: dict[str, str],
    fingerprint: str,
    *,
    name: str = NAME,
    evaluation: Evaluation | None = None,
    provenance: Provenance | None = None,
    alias: str = "candidate",
) -> int:
    """Register `run` as made by the stage of that fingerprint."""
    tags = {
        "fingerprint": fingerprint,
        **(provenance or Provenance(corpus="c0", code_version="0.1.0")).tags(),
        **(evaluation.tags() if evaluation else {}),
        **file_tags(digests),
    }
    return register(run, name=name, folder="weights", tags=tags, alias=alias, description="a detector")
