"""kill -9 of a worker in mid-finetune: the detector ends as if nothing had been."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cluster.storage.storage import Storage
from tests.silent_tracking import SilentRun
from training.detection.augment_section import BoxAugment
from training.detection.data import Sample
from training.detection.task import DetectionPlan, DetectionTask, build_detection_task
from training.loop.files import START_FILE
from training.loop.fit import fit
from training.loop.fit_result import FitResult
from training.loop.section import LoopSettings, ScalingSection
from training.loop.task import Batch
from training.models.letterbox import Preprocessing
from training.starts.detector_file import save_detector
from training.starts.filling import fresh_detector

pytestmark = pytest.mark.chaos

EPOCHS, FATAL_EPOCH, SIDE = 4, 3, 64


def build(marked: tuple[DetectionPlan, Path | None]) -> DetectionTask:
    """The task as every finetuning builds it; where a marker is given, its worker is killed once."""
    plan, marker = marked
    task = build_detection_task(plan)
    if marker is None:
        return task
    loss = task.loss

    def fatal(model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if task.dataset.epoch == FATAL_EPOCH and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(model, batch)

    task.loss = fatal  # type: ignore[method-assign]
    return task


@contextmanager
def one_thread() -> Iterator[None]:
    """As on a worker with one CPU: more add in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Ten dark images with a bright square each."""
    rng, found = np.random.default_rng(0), []
    folder = tmp_path_factory.mktemp("images")
    for number in range(10):
        image = rng.integers(20, 60, (SIDE, SIDE, 3), dtype=np.uint8)
        x, y = (int(value) for value in rng.integers(2, 36, 2))
        image[y : y + 24, x : x + 24] = (0, 0, 230)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), image)
        box = np.array([[x, y, x + 24.0, y + 24.0]])
        found.append(Sample(str(number), str(path), SIDE, SIDE, box, np.zeros(1, dtype=np.int64)))
    return tuple(found)


def finetuned(folder: Path, samples: tuple[Sample, ...], marker: Path | None) -> FitResult:
    """A finetuning from scratch with everything on: augmentation, EMA, the best epoch kept.

    One that is to be killed, at `marker`, on a worker; an unbroken one in this process.
    """
    directory = Storage.open(str(folder))
    detector = fresh_detector("yolov8n", ("square",), Preprocessing(SIDE, "square"), seed=0)
    save_detector(detector, directory, START_FILE, {})
    plan = DetectionPlan(
        directory=directory,
        freeze="none",
        masks="none",
        train=samples[:8],
        held_out=samples[8:],
        augment=BoxAugment(close_mosaic=1),
        epochs=EPOCHS,
        seed=0,
    )
    return fit(
        build,
        (plan, marker),
        LoopSettings(
            epochs=EPOCHS,
            batch_size=4,
            optimizer="adamw",
            lr=1e-3,
            ema_decay=0.9,
            best_metric="map50_95",
            seed=0,
        ),
        name="training",
        directory=directory,
        scaling=ScalingSection(workers=1 if marker else 0, cpus_per_worker=1, gpu=False),
        run=SilentRun("nowhere", "id"),
        title="finetune",
    )


def test_a_killed_worker_changes_nothing(
    ray_cluster: None, samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    with one_thread():
        whole = finetuned(tmp_path / "whole", samples, None)
    marker = tmp_path / "killed"
    broken = finetuned(tmp_path / "broken", samples, marker)
    assert marker.exists()
    timed = {"seconds", "images_per_s"}
    for kept, other in zip(whole.history, broken.history, strict=True):
        assert kept.keys() == other.keys()
        for name in kept.keys() - timed:
            assert other[name] == pytest.approx(kept[name], abs=1e-6), name
    assert "map50_95" in whole.history[-1]
    for key, weights in whole.state_dict.items():
        torch.testing.assert_close(broken.state_dict[key], weights, rtol=0, atol=1e-6)
