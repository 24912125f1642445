"""Checkpoints: the newest is found, whole, and nothing foreign is unpickled."""

import pickle
from pathlib import Path

import pytest
import torch

from cluster.errors import UserError
from cluster.storage.storage import Storage
from training.loop.checkpoints import KEPT, Checkpoints


def test_the_newest_is_read_and_old_ones_go(tmp_path: Path) -> None:
    checkpoints = Checkpoints(Storage.open(str(tmp_path / "training")))
    assert checkpoints.latest() is None
    for epoch in (9, 10, 100, 1_000_000):
        checkpoints.save(epoch, {"epoch": epoch, "weights": torch.full((3,), float(epoch))})
        latest = checkpoints.latest()
        assert latest is not None
        state = checkpoints.read(latest)
        assert state["epoch"] == epoch
        assert torch.equal(state["weights"], torch.full((3,), float(epoch)))
    assert len(list((tmp_path / "training").iterdir())) == KEPT


def test_what_was_cut_off_or_is_foreign_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(Storage.open(str(tmp_path)))
    checkpoints.save(3, {"epoch": 3})
    (tmp_path / "state-000004.pt.123.partial").write_bytes(b"half")
    (tmp_path / "ray-0123").mkdir()
    assert checkpoints.latest() == "state-000003.pt"
    whole = (tmp_path / "state-000003.pt").read_bytes()
    for content in (pickle.dumps(Path, protocol=2), whole[:-20], b""):
        (tmp_path / "state-000005.pt").write_bytes(content)
        with pytest.raises(UserError, match=r"state-000005\.pt is damaged; delete it"):
            checkpoints.read("state-000005.pt")
