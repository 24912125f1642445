"""Weights files: what was saved comes back, and nothing hostile passes."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cluster.errors import UserError
from training.weights.files import check_whole, load_weights, save_weights
from training.weights.transfer import transfer


def part_of(key: str) -> str:
    return "head" if key.startswith("head.") else "backbone"


class Tiny(nn.Module):
    """A backbone and a head."""

    def __init__(self, classes: int, width: int = 4) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))
        self.head = nn.Linear(width, classes)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    shared = torch.randn(3, 4).t()
    state = {"a": shared, "b": shared, "n": torch.tensor(3), "h": torch.ones(2, dtype=torch.float16)}
    save_weights(path, state, {"architecture": "tiny", "classes": ["scratch"], "lineage": {"corpus": "ab"}})
    loaded, metadata = load_weights(path)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    assert loaded["h"].dtype == torch.float16
    assert metadata == {"architecture": "tiny", "classes": ["scratch"], "lineage": {"corpus": "ab"}}
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.safetensors"]


def test_another_tools_metadata_is_given_as_it_is(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", metadata={"license": "AGPL-3.0"})
    assert load_weights(tmp_path / "w.safetensors")[1] == {"license": "AGPL-3.0"}


def hostile(folder: Path) -> dict[str, Path]:
    """Files that are not what their name says."""
    good = folder / "good.safetensors"
    save_weights(good, {"a": torch.zeros(8, 8)}, {"x": 1})
    whole = good.read_bytes()
    contents = {
        "empty": b"",
        "text": b"not weights at all, just text",
        "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00",
        "truncated": whole[:-40],
        "cut header": whole[:20],
        "absurd header": struct.pack("<Q", 1 << 62) + whole[8:],
        "long header": struct.pack("<Q", 90_000_000) + b"{" * 4000,
        "not json": struct.pack("<Q", 4) + b"{{{{",
        "overlap": _raw({"a": _entry([2], 0, 8), "b": _entry([2], 4, 12)}, b"\0" * 12),
        "shape lies": _raw({"a": _entry([1 << 40, 1 << 40], 0, 8)}, b"\0" * 8),
        "no tensors": _raw({}, b""),
        "nan": _raw({"a": _entry([1], 0, 4)}, struct.pack("<f", float("nan"))),
        "metadata not json": _raw({"a": _entry([1], 0, 4), "__metadata__": {"agssp": "{"}}, b"\0" * 4),
        "metadata not mapping": _raw({"a": _entry([1], 0, 4), "__metadata__": {"agssp": "[]"}}, b"\0" * 4),
        "metadata deep": _raw({"a": _entry([1], 0, 4), "__metadata__": {"agssp": "[" * 100_000}}, b"\0" * 4),
    }
    files = {}
    for name, content in contents.items():
        files[name] = folder / f"{name}.safetensors"
        files[name].write_bytes(content)
    return files | {"missing": folder / "missing.safetensors", "directory": folder}


def _entry(shape: list[int], start: int, stop: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, stop]}


def _raw(header: dict[str, object], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_hostile_files_are_user_errors_that_name_the_file(tmp_path: Path) -> None:
    for name, path in hostile(tmp_path).items():
        with pytest.raises(UserError) as caught:
            load_weights(path)
        message = str(caught.value)
        assert str(path) in message, name
        assert "\n" not in message, name


def test_transfer_counts_by_part() -> None:
    source, target = Tiny(classes=5), Tiny(classes=3)
    report = transfer(target, {**source.state_dict(), "extra": torch.zeros(1)}, part_of=part_of)
    assert torch.equal(target.state_dict()["backbone.0.weight"], source.state_dict()["backbone.0.weight"])
    backbone, head = report.parts["backbone"], report.parts["head"]
    assert (backbone.tensors, backbone.of_tensors) == (7, 7)  # weight, bias, and the batch norm's five
    assert (backbone.parameters, backbone.of_parameters) == (16 + 8, 16 + 8)
    assert (head.tensors, head.parameters, head.of_parameters) == (0, 0, 15)
    assert [mismatch.key for mismatch in report.mismatched] == ["head.weight", "head.bias"]
    assert (report.mismatched[0].wanted, report.mismatched[0].given) == ((3, 4), (5, 4))
    assert report.unused == ("extra",)
    assert "backbone 7/7 tensors (24 parameters)" in report.summary()


def test_transfer_of_one_part_casts_and_leaves_the_rest() -> None:
    source, target = Tiny(classes=3).half(), Tiny(classes=3)
    before = target.head.weight.clone()
    report = transfer(target, source.state_dict(), part_of=part_of, only={"backbone"})
    assert torch.equal(target.head.weight, before)
    assert target.backbone[0].weight.dtype == torch.float32
    assert list(report.parts) == ["backbone"]
    assert set(report.unused) == {"head.weight", "head.bias"}


def test_a_start_that_fills_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"has shape \(8, 3, 1, 1\), the model's \(4, 3, 1, 1\)"):
        transfer(Tiny(3), Tiny(3, width=8).state_dict(), part_of=part_of, only={"backbone"})
    with pytest.raises(UserError, match=r"theirs are named like other, the model's like backbone\.0\.weight"):
        transfer(Tiny(3), {"other": torch.zeros(1)}, part_of=part_of)


@pytest.mark.parametrize(
    ("given", "classes", "fault"),
    [
        ({"a": (2,)}, None, r'w\.pt is not a whole net \(tensor "b" is missing\); train it again\.'),
        ({"a": (2,), "b": (3,), "c": (1,)}, 4, r'\(tensor "c" is not part of it\)'),
        ({"a": (2,), "b": (4,)}, None, r'tensor "b" has shape \(4,\) where net has \(3,\); train it again\.'),
        ({"a": (2,), "b": (4,)}, 4, r'tensor "b" has shape \(4,\) where net for 4 classes has \(3,\)'),
    ],
)
def test_tensors_that_are_no_whole_model_are_refused(
    given: dict[str, tuple[int, ...]], classes: int | None, fault: str
) -> None:
    own = {"a": torch.zeros(2), "b": torch.zeros(3)}
    state = {key: torch.zeros(shape) for key, shape in given.items()}
    with pytest.raises(UserError, match=fault):
        check_whole(Path("w.pt"), state, own, name="net", remedy="train it again", classes=classes)
    check_whole(Path("w.pt"), own, own, name="net", remedy="train it again")
