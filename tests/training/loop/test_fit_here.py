"""Training without workers: the same result as the plain loop, resumed where it was, and Ray untouched."""

from pathlib import Path
from typing import Any, Literal

import pytest
import ray
import torch

from cluster.errors import UserError
from cluster.on_ray.section import RaySection
from cluster.on_ray.session import JOB_CONFIG, ray_session, start_ray
from cluster.storage.storage import Storage
from tests.training.loop.line import Line
from tests.training.loop.test_fit_ray import EPOCHS, Rows, losses, run_fit
from training.loop import fit_on_ray
from training.loop.fit import trains_here
from training.loop.loop import train
from training.loop.reports import NonFiniteLoss
from training.loop.section import LoopSettings, ScalingSection


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts Ray fails."""
    monkeypatch.delattr(fit_on_ray, "start_ray")


@pytest.mark.parametrize("workers", [0, "auto"])
def test_it_is_the_plain_loop(tmp_path: Path, workers: Literal["auto"] | int) -> None:
    rows = Rows()
    with ray_session(RaySection()):
        result = run_fit(tmp_path, {}, "here", rows, workers=workers)
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


def test_a_store_that_fails_for_a_moment_ends_no_training_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, rows, log = run_fit(tmp_path, {}, "whole", Rows(), workers=0), Rows(), tmp_path / "log"
    with ray_session(RaySection()):
        result = run_fit(tmp_path, {"marker": str(tmp_path / "failed")}, "away", rows, workers="auto")
        assert "fit a line: the disk went away; going on from the last checkpoint" in capsys.readouterr().err
        for_good = {"marker": str(tmp_path / "no" / "such")}
        with pytest.raises(OSError, match="the disk went away"):
            run_fit(tmp_path, for_good, "lost", Rows(), workers="auto", max_failures=2)
        assert capsys.readouterr().err.count("the disk went away") == 2
        with pytest.raises(OSError, match="No space left on device"):
            run_fit(tmp_path, {"full": str(log)}, "full", Rows(), workers="auto")
    assert log.read_text().split() == ["tried"]
    assert losses(result) == losses(whole)
    assert sorted(rows.rows) == list(range(1, EPOCHS + 1))


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


@pytest.mark.parametrize(
    ("scaling", "session", "environment", "gpus", "here"),
    [
        ({}, {}, {}, 0, True),
        ({}, {}, {}, 1, True),
        ({}, {"small_job": 0, "object_store_gb": 2}, {}, 0, True),
        ({}, {}, {}, 2, False),
        ({"gpu": False}, {}, {}, 2, True),
        ({"workers": 1}, {}, {}, 0, False),
        ({"workers": 0}, {"address": "auto"}, {}, 2, True),
        ({"cpus_per_worker": 1}, {}, {}, 0, False),
        ({}, {"address": "10.0.0.1:6379"}, {}, 0, False),
        ({}, {"cpus": 4}, {}, 0, False),
        ({}, {"gpus": 0}, {}, 0, False),
        ({}, {"niceness": 10}, {}, 0, False),
        ({}, {}, {"RAY_ADDRESS": "10.0.0.1:6379"}, 0, False),
        ({}, {}, {JOB_CONFIG: "{}"}, 0, False),
    ],
)
def test_auto_takes_ray_where_it_has_something_to_give(
    scaling: dict[str, Any],
    session: dict[str, Any],
    environment: dict[str, str],
    gpus: int,
    here: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with ray_session(RaySection.model_validate(session)):
        assert trains_here(ScalingSection.model_validate(scaling)) is here


@pytest.mark.parametrize(("ours", "here"), [(True, True), (False, False)])
def test_auto_leaves_the_work_of_a_foreign_ray_there(
    ours: bool, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ray that the command began for its data job is no reason; one that it was begun in is."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    running: list[bool] = [] if ours else [True]
    monkeypatch.setattr(ray, "is_initialized", lambda: bool(running))
    monkeypatch.setattr(ray, "init", lambda **options: running.append(True))
    monkeypatch.setattr(ray, "shutdown", running.clear)
    with ray_session(RaySection()):
        start_ray()
        assert running
        assert trains_here(ScalingSection(gpu=False)) is here
