"""Training on Ray: retries, resuming and errors."""

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from cluster.errors import UserError
from cluster.storage.storage import Storage
from tests.training.loop.line import build
from training.loop.fit import fit
from training.loop.fit_result import FitResult
from training.loop.reports import NonFiniteLoss
from training.loop.section import LoopSettings, ScalingSection

pytestmark = pytest.mark.ray

EPOCHS = 5


class Rows:
    """Stands in for a tracking run."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        assert step is not None
        assert step not in self.rows
        self.rows[step] = dict(metrics)

    def log_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        for row in rows:
            self.log_metrics(row, int(row["epoch"]))


def run_fit(
    folder: Path,
    payload: dict[str, Any],
    name: str,
    rows: Rows,
    workers: Literal["auto"] | int = 1,
    max_failures: int = 3,
    gpu: bool = False,
) -> FitResult:
    """A fit of the line."""
    return fit(
        build,
        payload,
        LoopSettings(epochs=EPOCHS, batch_size=8, lr=0.05, ema_decay=0.9, seed=0),
        name=name,
        directory=Storage.open(str(folder)),
        scaling=ScalingSection(
            workers=workers,
            cpus_per_worker=None if workers == "auto" else 1,
            gpu=gpu,
            max_failures=max_failures,
        ),
        run=rows,  # type: ignore[arg-type]
        title="fit a line",
    )


def losses(result: FitResult) -> list[float]:
    return [row["loss"] for row in result.history]


@pytest.fixture(scope="module")
def whole(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[FitResult, Rows, Path]:
    """An unbroken fit, what it logged, and where it lies."""
    rows, folder = Rows(), tmp_path_factory.mktemp("whole")
    return run_fit(folder, {}, "whole", rows), rows, folder


def test_every_epoch_is_logged_and_a_finished_fit_is_read_back(whole: tuple[FitResult, Rows, Path]) -> None:
    result, rows, folder = whole
    assert [rows.rows[epoch] for epoch in range(1, EPOCHS + 1)] == result.history
    assert result.table().column_names[:2] == ["epoch", "step"]
    # The same name again: nothing is trained (it would be refused), and the new run gets the whole curve.
    relogged = Rows()
    again = run_fit(folder, {"refuse": True}, "whole", relogged)
    assert again.history == result.history
    assert sorted(relogged.rows) == list(range(1, EPOCHS + 1))


def test_a_failed_worker_resumes_with_equal_losses(
    whole: tuple[FitResult, Rows, Path], tmp_path: Path
) -> None:
    marker = tmp_path / "failed"
    broken = run_fit(tmp_path, {"marker": str(marker)}, "broken", Rows())
    assert marker.exists()
    assert losses(broken) == pytest.approx(losses(whole[0]), abs=1e-6)
    assert torch.equal(broken.state_dict["weight"], whole[0].state_dict["weight"])


def test_the_calling_process_trains_as_a_worker_does(
    whole: tuple[FitResult, Rows, Path], tmp_path: Path
) -> None:
    here = run_fit(tmp_path, {}, "here", Rows(), workers=0)
    assert losses(here) == pytest.approx(losses(whole[0]), abs=1e-6)


def test_two_workers_train_as_one(whole: tuple[FitResult, Rows, Path], tmp_path: Path) -> None:
    two = run_fit(tmp_path, {}, "two", Rows(), workers=2)
    assert losses(two) == pytest.approx(losses(whole[0]), abs=1e-5)


def test_errors_no_retry_can_mend_reach_the_command(ray_cluster: None, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss, match="nan in epoch 2") as caught:
        run_fit(tmp_path, {"nan": True}, "nan", Rows())
    assert len(caught.value.image_ids) == 8
    saved = Storage.open(str(tmp_path)).read_json("nonfinite-loss.json")
    assert saved["image_ids"] == caught.value.image_ids
    assert "nan in epoch 2, step 3" in saved["reason"]
    assert "nonfinite-loss.json" in str(caught.value)
    with pytest.raises(UserError, match=r"The corpus is empty; add images\."):
        run_fit(tmp_path, {"refuse": True}, "refused", Rows(), workers=2)


def test_a_full_disk_is_not_tried_again(ray_cluster: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(OSError, match="No space left on device") as caught:
        run_fit(tmp_path, {"full": str(log)}, "full", Rows())
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "state-000001.pt")
    assert log.read_text().split() == ["tried"]


def test_failures_beyond_the_limit_tell_their_cause(ray_cluster: None, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"fit a line: .*the disk went away"):
        run_fit(tmp_path, {"marker": str(tmp_path / "no" / "such")}, "lost", Rows(), max_failures=0)
