"""`.pt` and `.pth` files: the same tensors as their library reads, and nothing that they hold is run."""

import argparse
import contextlib
import pickle
from collections import OrderedDict, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from ultralytics.nn.tasks import ClassificationModel, DetectionModel

from cluster.errors import UserError
from training.weights.files import load_weights
from training.weights.pickled import read_pickled


class Bomb:
    """Unpickled, it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "boom")


class Net(nn.Module):
    """Parameters, buffers that last and that don't, and one tensor twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.stack = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())
        self.tied = self.conv
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("grid", torch.zeros(3), persistent=False)
        self.register_buffer("seen", torch.ones(1))


def same(state: dict[str, torch.Tensor], other: dict[str, Any]) -> bool:
    return list(state) == list(other) and all(torch.equal(state[key], other[key]) for key in state)


def test_state_dicts_at_the_top_and_in_checkpoints(tmp_path: Path) -> None:
    state, averaged = Net().state_dict(), Net().state_dict()
    path = tmp_path / "w.pth"
    torch.save(state, path)
    assert same(read_pickled(path), state)
    assert same(load_weights(path)[0], state)
    torch.save({"epoch": 3, "state_dict": state, "args": argparse.Namespace(lr=0.1)}, path)
    assert same(read_pickled(path), state)
    torch.save({"state_dict": state, "state_dict_ema": averaged, "arch": "net"}, path)
    assert same(read_pickled(path), averaged)


class Settings(dict[str, Any]):
    """A mapping of a class of its own, as yacs' nodes are, which SimMIM keeps beside its weights."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.frozen = True


class Row(list[int]):
    """PyTorch fills no list of another class."""


class Buffer:
    """An object with a state, as mmengine's history."""

    def __init__(self) -> None:
        self.values = np.arange(3.0)
        self.last: np.float64 = self.values[2]


@pytest.mark.parametrize("form", ["zip", "before 1.6"])
def test_what_trainings_keep_beside_their_weights(form: str, tmp_path: Path) -> None:
    """In the form before PyTorch 1.6 too: mmdet and mmyolo publish in it."""
    state = Net().state_dict()
    beside = {
        "config": Settings(model=Settings(name="swin"), epochs=[1, 2]),
        "message_hub": {"loss": Buffer(), "by_name": defaultdict(list, {"a": [Buffer()]})},
        "meta": {"time": datetime(2026, 1, 1), "seen": {1, 2}, "order": OrderedDict(a=1)},
        "args": argparse.Namespace(lr=0.1),
    }
    path = tmp_path / "w.pth.tar"
    checkpoint = {**beside, "state_dict": state, "ema_state_dict": {"module.w": torch.ones(1)}}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=form == "zip")
    assert same(load_weights(path)[0], state)


def test_averages_of_rt_detr_s_authors(tmp_path: Path) -> None:
    state, averaged = Net().state_dict(), Net().state_dict()
    torch.save({"ema": {"module": averaged, "updates": 3}, "model": state}, tmp_path / "w.pth")
    assert same(read_pickled(tmp_path / "w.pth"), averaged)


def test_a_refused_file_s_sentence_says_how_to_convert_it(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "row": Row([1])}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"if you trust it, take its state dict out .*weights_only=False"):
        read_pickled(tmp_path / "w.pth")


def test_a_whole_model_gives_its_state_dict(tmp_path: Path) -> None:
    model = Net()
    torch.save(model, tmp_path / "m.pt")
    assert same(read_pickled(tmp_path / "m.pt"), model.state_dict())


@pytest.mark.parametrize("build", [DetectionModel, ClassificationModel])
def test_a_file_of_ultralytics(build: Any, tmp_path: Path) -> None:
    """As its own `save` writes them: the whole model in half precision, beside its settings."""
    name = "yolo11n-cls.yaml" if build is ClassificationModel else "yolo26n.yaml"
    model = build(name, verbose=False).half()
    torch.save({"model": model, "ema": None, "train_args": {"imgsz": 64}}, tmp_path / "y.pt")
    assert same(read_pickled(tmp_path / "y.pt"), model.state_dict())


def test_nothing_is_run(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    for content in (
        {"state_dict": {"w": torch.ones(1)}, "extra": Bomb(target)},
        Bomb(target),
        {"model": Bomb(target)},
    ):
        path = tmp_path / "w.pt"
        torch.save(content, path)
        try:
            state = read_pickled(path)
        except UserError:
            state = {}
        assert not target.exists()
        assert set(state) <= {"w"}
        torch.save(content, path, _use_new_zipfile_serialization=False)
        with contextlib.suppress(UserError):
            read_pickled(path)
        assert not target.exists()
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(UserError):
        read_pickled(plain)
    assert not target.exists()


def test_hostile_files_are_user_errors(tmp_path: Path) -> None:
    good = tmp_path / "good.pt"
    torch.save({"w": torch.zeros(64, 64)}, good)
    whole = good.read_bytes()
    loop = nn.Module()
    loop.add_module("again", loop)
    torch.save(loop, tmp_path / "loop.pt")
    contents = {
        "empty": b"",
        "text": b"not weights",
        "cut": whole[: len(whole) // 2],
        "zip": b"PK\x03\x04" + b"\0" * 64,
        "legacy": pickle.dumps({"w": 1}),
        "loop": (tmp_path / "loop.pt").read_bytes(),
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.pt"
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            load_weights(path)
        assert str(path) in str(caught.value), name
        assert "\n" not in str(caught.value), name
    torch.save({"w": torch.zeros(64, 64), "n": Net()}, good, _use_new_zipfile_serialization=False)
    before = good.read_bytes()
    for size in range(0, 2000, 97):
        good.write_bytes(before[:size])
        with pytest.raises(UserError, match=r"can't be read without running code"):
            load_weights(good)
    torch.save({"epoch": 1, "note": "no weights"}, good)
    with pytest.raises(UserError, match="holds no state dict"):
        load_weights(good)
    torch.save({"w": torch.tensor(float("nan"))}, good)
    with pytest.raises(UserError, match='tensor "w" holds NaN'):
        load_weights(good)
