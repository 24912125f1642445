"""A stage's training leaves its files and no checkpoints; what fails after it costs no training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cluster.errors import UserError
from cluster.stages.stage import Workbench
from cluster.storage.storage import Storage
from tests.silent_tracking import SilentRun
from tests.training.loop.line import Line, build
from training.loop.fit_result import FitResult
from training.loop.section import LoopSettings, ScalingSection
from training.loop.stage_training import trained
from training.weights.files import StateDict, load_weights, save_weights

EPOCHS = 3


class Run(SilentRun):
    """Remembers the files it was given."""

    def __init__(self) -> None:
        super().__init__("nowhere", "id")
        self.files: list[tuple[str, str]] = []

    def log_file(self, path: Path, folder: str = "") -> None:
        self.files.append((Path(path).name, folder))


class Stage:
    """A stage that fits a line, in this process.

    Args:
        folder: of the artifact.
    """

    def __init__(self, folder: Path) -> None:
        self.bench, self.model = Workbench(Storage.open(str(folder)), Run()), Line({}).model
        self.start = self.weights()

    def weights(self) -> StateDict:
        return {key: tensor.clone() for key, tensor in self.model.state_dict().items()}

    def save(self, name: str) -> None:
        assert isinstance(self.model, nn.Linear)
        local = Path(self.bench.directory.path) / name
        local.parent.mkdir(exist_ok=True)
        save_weights(local, self.model.state_dict(), {})

    def saved(self, name: str) -> StateDict:
        with self.bench.directory.local_copy(name) as path:
            return load_weights(path)[0]

    def train(self, payload: Mapping[str, Any], **changes: Any) -> FitResult:
        loop = {"epochs": EPOCHS, "batch_size": 8, "lr": 0.05, "seed": 0} | changes.pop("loop", {})
        return trained(
            build,
            dict(payload),
            LoopSettings.model_validate(loop),
            bench=self.bench,
            scaling=ScalingSection(workers=0, gpu=False),
            title="fit a line",
            weights_file="line.safetensors",
            save=self.save,
            load=self.model.load_state_dict,
            **changes,
        )


def equal(one: StateDict, other: StateDict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_it_leaves_start_weights_and_history(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    result = stage.train({})
    assert sorted(stage.bench.directory.children()) == [
        "history.parquet",
        "line.safetensors",
        "start.safetensors",
    ]
    assert equal(stage.saved("start.safetensors"), stage.start)
    assert equal(stage.saved("line.safetensors"), result.state_dict)
    assert equal(stage.weights(), result.state_dict)
    assert not equal(result.state_dict, stage.start)
    assert stage.bench.directory.read_table("history.parquet").to_pylist() == result.history
    assert isinstance(stage.bench.run, Run)
    assert stage.bench.run.files == [("line.safetensors", "weights")]


def test_kept_epochs_lie_beside_and_the_model_ends_with_the_best(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    result = stage.train({}, loop={"best_metric": "weight", "keep_best": 2})
    names = {f"epoch-{kept.epoch}.safetensors": kept for kept in result.kept[:-1]}
    names["last.safetensors"] = result.kept[-1]
    assert len(names) == 3
    assert sorted(stage.bench.directory.at("kept").children()) == sorted(names)
    for name, kept in names.items():
        assert equal(stage.saved(f"kept/{name}"), kept.weights), name
    assert equal(stage.weights(), result.state_dict)


def test_what_fails_at_the_end_costs_no_training(tmp_path: Path) -> None:
    def fail() -> None:
        raise UserError("An image is gone; restore it.")

    first = Stage(tmp_path)
    with pytest.raises(UserError, match="An image is gone"):
        first.train({}, finish=fail)
    assert first.bench.directory.at("training").children()
    again = Stage(tmp_path)
    seen: list[StateDict] = []
    # It would be refused if anything were trained.
    result = again.train({"refuse": True}, finish=lambda: seen.append(again.weights()))
    assert len(result.history) == EPOCHS
    assert equal(seen[0], result.state_dict)
    assert not again.bench.directory.exists("training")
