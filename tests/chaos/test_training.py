"""kill -9 of each process of a training: it goes on from the last checkpoint, as if nothing had been."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
import torch

from tests.chaos.line import EPOCHS, FATAL_EPOCH, epochs_begun, fit_line
from tests.repository import ROOT
from training.loop.fit_result import FitResult

pytestmark = pytest.mark.chaos

ALL = list(range(1, EPOCHS + 1))
RESUMED = [*range(1, FATAL_EPOCH + 1), *range(FATAL_EPOCH, EPOCHS + 1)]


def assert_equal(broken: FitResult, whole: FitResult, tolerance: float = 1e-6) -> None:
    losses = [[row["loss"] for row in result.history] for result in (broken, whole)]
    assert losses[0] == pytest.approx(losses[1], abs=tolerance)
    for key, weights in whole.state_dict.items():
        torch.testing.assert_close(broken.state_dict[key], weights, rtol=0, atol=10 * tolerance)


def assert_nothing_held() -> None:
    """No training's CPUs are left reserved: the next one on this cluster would wait for them for ever."""
    deadline = time.monotonic() + 60
    while any(group["state"] != "REMOVED" for group in ray.util.placement_group_table().values()):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def whole(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    """An unbroken fit with two workers."""
    folder = tmp_path_factory.mktemp("whole")
    result = fit_line(folder, None, workers=2)
    assert epochs_begun(folder) == ALL
    return result


@pytest.mark.parametrize("victim", ["worker", "controller"])
def test_a_killed_process_costs_an_epoch(whole: FitResult, tmp_path: Path, victim: str) -> None:
    broken = fit_line(tmp_path, victim, workers=2)
    # The old workers are gone too: a lost controller's ones don't train on beside the new.
    assert not Path("/proc", (tmp_path / "killed").read_text()).exists()
    assert epochs_begun(tmp_path) == RESUMED
    assert_equal(broken, whole)
    assert_nothing_held()


@pytest.fixture(scope="module")
def killed_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a command that was killed in its training with two workers leaves."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.chaos.line", str(folder)]
    driver = subprocess.run(command, cwd=ROOT, timeout=300, check=False)
    assert driver.returncode == -signal.SIGKILL
    assert epochs_begun(folder) == list(range(1, FATAL_EPOCH + 1))
    return folder


# Another split of the batch adds in another order.
@pytest.mark.parametrize(("workers", "tolerance"), [(2, 1e-6), (1, 1e-5)])
def test_a_killed_driver_is_gone_on_with_by_any_number_of_workers(
    whole: FitResult, killed_driver: Path, tmp_path: Path, workers: int, tolerance: float
) -> None:
    left = Path(shutil.copytree(killed_driver, tmp_path / "left"))
    broken = fit_line(left, None, workers=workers)
    assert epochs_begun(left) == RESUMED
    assert_equal(broken, whole, tolerance)


def test_a_killed_command_that_trained_by_itself_is_gone_on_with_by_the_same(tmp_path: Path) -> None:
    """`scaling.workers=auto` without a cluster needs no Ray; the losses are the unbroken one's bit by bit."""
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    broken.mkdir()
    whole.mkdir()
    command = [sys.executable, "-m", "tests.chaos.line", str(broken), "here"]
    for code, begun in ((-signal.SIGKILL, RESUMED[:FATAL_EPOCH]), (0, RESUMED)):
        done = subprocess.run(command, cwd=ROOT, timeout=300, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr[-2000:]
        assert epochs_begun(broken) == begun
    assert f"goes on from the checkpoint of epoch {FATAL_EPOCH - 1}" in done.stderr
    # A finished training is only read.
    results = [fit_line(folder, None, workers=0) for folder in (broken, whole)]
    assert epochs_begun(broken) == RESUMED
    losses = [[row["loss"] for row in result.history] for result in results]
    assert losses[0] == losses[1]


def test_beyond_the_budget_the_cause_is_told(ray_cluster: None, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"fit a line: .*controller was lost 1 times, more than"):
        fit_line(tmp_path, "controller", budget=0)
    assert_nothing_held()
    assert epochs_begun(tmp_path) == list(range(1, FATAL_EPOCH + 1))
