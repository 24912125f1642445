"""A node that is taken away with notice costs a training no epoch: a checkpoint amid it is gone on from."""

import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

from tests.chaos.preempted import EPOCHS, LOST_EPOCH, STEPS, fit_preempted
from tests.repository import ROOT
from training.loop.loop import NOTICE_STEPS


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_a_node_taken_away_with_notice_costs_no_epoch(tmp_path: Path) -> None:
    lost, whole = tmp_path / "lost", tmp_path / "whole"
    lost.mkdir()
    whole.mkdir()
    command = [sys.executable, "-m", "tests.chaos.preempted", str(lost)]
    subprocess.run(command, cwd=ROOT, timeout=280, check=True)

    lines = [line.split() for line in (lost / "steps").read_text().splitlines()]
    runs = [(int(epoch), len(list(steps))) for (_, epoch), steps in groupby(lines, key=tuple)]
    before, after = (steps for epoch, steps in runs if epoch == LOST_EPOCH)  # two processes began it
    assert after in {STEPS - done for done in range(NOTICE_STEPS, STEPS, NOTICE_STEPS)}
    assert before >= STEPS - after
    assert [epoch for epoch, _ in runs] == [*range(1, LOST_EPOCH + 1), *range(LOST_EPOCH, EPOCHS + 1)]

    # A finished training is only read; max_failures=0 let no failure but the announced one pass.
    broken, unbroken = fit_preempted(lost, preempt=False), fit_preempted(whole, preempt=False)
    for row, expected in zip(broken.history, unbroken.history, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], abs=1e-5)
