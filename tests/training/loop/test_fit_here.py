"""Training without workers: the same result as the plain loop, resumed where it was, and Ray untouched."""

from pathlib import Path

import pytest
import torch

from cluster.errors import UserError
from cluster.storage.storage import Storage
from tests.training.loop.test_fit_ray import EPOCHS, Line, Rows, losses, run_fit
from training.loop import fit as fit_module
from training.loop.loop import train
from training.loop.reports import NonFiniteLoss
from training.loop.section import LoopSettings


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts Ray fails."""
    monkeypatch.delattr(fit_module, "start_ray")


def test_it_is_the_plain_loop(tmp_path: Path) -> None:
    rows = Rows()
    result = run_fit(tmp_path, {}, "here", rows, workers=0)
    line = Line({})
    plain = train(
        line,
        LoopSettings(epochs=EPOCHS, batch_size=8, lr=0.05, ema_decay=0.9, seed=0),
        device=torch.device("cpu"),
        on_epoch=lambda report: None,
    )
    assert losses(result) == [row["loss"] for row in plain.history]
    assert torch.equal(result.state_dict["weight"], plain.weights["weight"])
    assert [rows.rows[epoch] for epoch in range(1, EPOCHS + 1)] == result.history


def test_what_was_broken_off_goes_on(tmp_path: Path) -> None:
    whole = run_fit(tmp_path, {}, "whole", Rows(), workers=0)
    first, second = Rows(), Rows()
    payload = {"marker": str(tmp_path / "failed")}
    with pytest.raises(OSError, match="the disk went away"):
        run_fit(tmp_path, payload, "broken", first, workers=0)
    assert sorted(first.rows) == [1, 2, 3]
    broken = run_fit(tmp_path, payload, "broken", second, workers=0)
    assert sorted(second.rows) == list(range(1, EPOCHS + 1))
    assert losses(broken) == losses(whole)
    assert torch.equal(broken.state_dict["weight"], whole.state_dict["weight"])
    assert run_fit(tmp_path, {"refuse": True}, "broken", Rows(), workers=0).history == broken.history


def test_errors_reach_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NonFiniteLoss, match=r"nan in epoch 2, step 3, see .*nonfinite-loss\.json") as caught:
        run_fit(tmp_path, {"nan": True}, "nan", Rows(), workers=0)
    saved = Storage.open(str(tmp_path)).read_json("nonfinite-loss.json")
    assert saved["image_ids"] == caught.value.image_ids
    with pytest.raises(UserError, match="The corpus is empty"):
        run_fit(tmp_path, {"refuse": True}, "refused", Rows(), workers=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"scaling\.gpu=true needs a GPU"):
        run_fit(tmp_path, {}, "gpu", Rows(), workers=0, gpu=True)
