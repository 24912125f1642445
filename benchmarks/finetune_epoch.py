"""Finetuning YOLOv8n in our loop, in float32 and in bf16, beside ultralytics' own trainer: epochs, mAP@0.5.

All train in one process, epoch by epoch in turn, so that whatever else the machine does meets all alike:
same images, image size, batch, optimizer, schedule, augmentation, threads, no loader processes (ultralytics
allows none on a CPU), images kept in memory, a checkpoint written every epoch.
"""

import statistics
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks.labelled_surfaces import LabelledSurfaces, write_surfaces
from benchmarks.registry import Row, at_least, at_most
from cluster.on_ray import machine_cpus
from training.detection import BoxAugment, DetectionDataset, DetectionTask
from training.loop import EpochReport, LoopSettings, Precision, train, weights_of
from training.models import Preprocessing
from training.models.detectors import build_detector

NAME = "yolov8n"
CATEGORIES = ("magnetic_tile", "rail", "casting")
SIZE, BATCH, EPOCHS, TRAIN, VAL = 160, 16, 40, 160, 80
SEEDS = (0, 1, 2)
LR, WARMUP, DECAY, EMA = 1e-3, 3, 0.01, 0.9999
AUGMENT = BoxAugment()
CPU = torch.device("cpu")
THREADS = min(8, max(1, machine_cpus() - 1))  # what ultralytics takes
OURS, IN_BF16, THEIRS = "ours", "ours in bf16", "ultralytics"


class Turns:
    """Trainings that do an epoch each in turn, and the seconds of their epochs.

    Args:
        names: the trainings.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in names}
        self._order = deque(self.seconds)
        self._changed = threading.Condition()
        self._start = 0.0

    def begin(self, name: str) -> None:
        """Wait for one's turn; the clock starts."""
        with self._changed:
            self._changed.wait_for(lambda: self._order[0] == name)
        # The setting belongs to a Python thread.
        torch.set_num_threads(THREADS)
        cv2.setNumThreads(0)
        self._start = time.perf_counter()

    def end(self, name: str) -> None:
        """The epoch is done; the next one's turn begins."""
        self.seconds[name].append(time.perf_counter() - self._start)
        with self._changed:
            self._order.rotate(-1)
            self._changed.notify_all()

    def leave(self, name: str) -> None:
        """The training is at its end, or failed; the others go on."""
        with self._changed:
            self._order.remove(name)
            self._changed.notify_all()


Trainer = Callable[[LabelledSurfaces, int, Path, Turns], dict[str, Any]]


def run() -> Iterator[Row]:
    """Median epoch of each, their ratios, and final mAP@0.5 of three seeds each."""
    seconds: dict[str, list[float]] = {name: [] for name in TRAINERS}
    scores: dict[str, list[float]] = {name: [] for name in TRAINERS}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            data = write_surfaces(
                Path(folder), seed=11, categories=CATEGORIES, size=SIZE, train=TRAIN, val=VAL
            )
            turns, weights = side_by_side(data, seed, Path(folder))
            for name in TRAINERS:
                seconds[name] += turns.seconds[name]
                scores[name].append(score(weights[name], data))
        for name in TRAINERS:
            yield Row(f"seed {seed}: {name}, mAP@0.5 after {EPOCHS} epochs", scores[name][-1])
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        yield Row(f"{name}: seconds an epoch, {TRAIN} images of {SIZE} px, {THREADS} threads", median)
    yield at_most("epoch time, ours against ultralytics", medians[OURS] / medians[THEIRS], 0.8)
    yield Row("epoch time, ours in bf16 against ours in float32", medians[IN_BF16] / medians[OURS])
    for name, other in ((OURS, THEIRS), (IN_BF16, OURS)):
        # Two standard errors of the difference of the means.
        variances = statistics.variance(scores[name]) + statistics.variance(scores[other])
        noise = 2 * (variances / len(SEEDS)) ** 0.5
        gain = statistics.mean(scores[name]) - statistics.mean(scores[other])
        yield Row(f"seed noise of {name} less {other} (two standard errors)", noise)
        yield at_least(
            f"mAP@0.5, {name} less {other} (means of {len(SEEDS)} seeds), + noise", gain + noise, 0
        )


def side_by_side(data: LabelledSurfaces, seed: int, folder: Path) -> tuple[Turns, dict[str, dict[str, Any]]]:
    """Train all from scratch, each in a thread; the times, and the final weights of each."""
    turns = Turns(TRAINERS)

    def trained(name: str) -> dict[str, Any]:
        try:
            place = folder / name
            place.mkdir()
            return TRAINERS[name](data, seed, place, turns)
        finally:
            turns.leave(name)

    with ThreadPoolExecutor(len(TRAINERS)) as pool:
        threads = {name: pool.submit(trained, name) for name in TRAINERS}
        return turns, {name: thread.result() for name, thread in threads.items()}


def score(weights: dict[str, Any], data: LabelledSurfaces) -> float:
    """mAP@0.5 of weights, by the same evaluation for both."""
    detector = build_detector(NAME, data.classes, Preprocessing(SIZE, "letterbox"))
    detector.load_state_dict(weights)
    empty = DetectionDataset((), preprocessing=detector.preprocessing)
    return DetectionTask(detector, empty, data.val).evaluate(detector.eval(), CPU)["map50"]


def our_weights(
    name: str, precision: Precision, data: LabelledSurfaces, seed: int, folder: Path, turns: Turns
) -> dict[str, Any]:
    """The loop as a Ray Train worker runs it, a checkpoint every epoch."""
    turns.begin(name)
    torch.manual_seed(seed)
    detector = build_detector(NAME, data.classes, Preprocessing(SIZE, "letterbox"))
    dataset = DetectionDataset(
        data.train, preprocessing=detector.preprocessing, augment=AUGMENT, epochs=EPOCHS, seed=seed
    )
    settings = LoopSettings(
        epochs=EPOCHS,
        batch_size=BATCH,
        optimizer="adamw",
        lr=LR,
        weight_decay=DECAY,
        warmup_epochs=WARMUP,
        ema_decay=EMA,
        eval_every=EPOCHS,
        seed=seed,
        precision=precision,
    )
    states: list[Any] = []

    def on_epoch(report: EpochReport) -> None:
        torch.save(report.state, folder / "ours.pt")
        states[:] = [report.state]
        if report.epoch < EPOCHS:  # the last one would compare evaluations too
            turns.end(name)
            turns.begin(name)

    train(DetectionTask(detector, dataset, ()), settings, device=CPU, on_epoch=on_epoch)
    return dict(weights_of(states[0]))


def ultralytics_weights(data: LabelledSurfaces, seed: int, folder: Path, turns: Turns) -> dict[str, Any]:
    """`yolo detect train` by its Python class; the averaged weights of its last epoch."""
    from ultralytics.models.yolo.detect import DetectionTrainer
    from ultralytics.utils import SETTINGS

    SETTINGS.update({"mlflow": False, "raytune": False, "tensorboard": False})
    trainer = DetectionTrainer(
        overrides={
            "model": f"{NAME}.yaml",
            "data": str(data.yaml),
            "imgsz": SIZE,
            "batch": BATCH,
            "nbs": BATCH,
            "epochs": EPOCHS,
            "seed": seed,
            "device": "cpu",
            "workers": 0,
            "cache": "ram",
            "amp": False,
            "deterministic": False,
            "pretrained": False,
            "optimizer": "AdamW",
            "lr0": LR,
            "lrf": 0.01,
            "cos_lr": True,
            "momentum": 0.9,
            "warmup_momentum": 0.9,
            "warmup_bias_lr": 0.0,
            "warmup_epochs": WARMUP,
            "weight_decay": DECAY,
            "hsv_h": AUGMENT.hue,
            "hsv_s": AUGMENT.saturation,
            "hsv_v": AUGMENT.brightness,
            "fliplr": AUGMENT.flip_lr,
            "flipud": AUGMENT.flip_ud,
            "translate": AUGMENT.shift,
            "scale": AUGMENT.scale,
            "mosaic": AUGMENT.mosaic,
            "close_mosaic": AUGMENT.close_mosaic,
            "patience": 0,
            "val": False,
            "plots": False,
            "verbose": False,
            "project": str(folder / "runs"),
            "name": "theirs",
        }
    )

    def begin(_: Any) -> None:
        turns.begin(THEIRS)

    def end(_: Any) -> None:
        if trainer.epoch + 1 < EPOCHS:
            turns.end(THEIRS)

    trainer.add_callback("on_train_epoch_start", begin)
    trainer.add_callback("on_fit_epoch_end", end)
    trainer.train()
    return {key: value.float() for key, value in trainer.ema.ema.state_dict().items()}


TRAINERS: dict[str, Trainer] = {
    OURS: partial(our_weights, OURS, "fp32"),
    IN_BF16: partial(our_weights, IN_BF16, "bf16"),
    THEIRS: ultralytics_weights,
}
