"""Finetuning YOLOv8n in our loop beside ultralytics' own trainer: epoch time and final mAP@0.5.

Both train in one process, epoch by epoch in turn, so that whatever else the machine does meets both alike:
same images, image size, batch, optimizer, schedule, augmentation, threads, no loader processes (ultralytics
allows none on a CPU), images kept in memory, a checkpoint written every epoch.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks.labelled_surfaces import LabelledSurfaces, write_surfaces
from benchmarks.registry import Row, at_least, at_most
from cluster.on_ray import machine_cpus
from training.detection import BoxAugment, DetectionDataset, DetectionTask
from training.loop import EpochReport, LoopSettings, train, weights_of
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


@dataclass
class Turns:
    """Two trainings in turn, and the seconds of their epochs."""

    ours: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    theirs: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    our_seconds: list[float] = field(default_factory=list)
    their_seconds: list[float] = field(default_factory=list)


def run() -> Iterator[Row]:
    """Median epoch of each, their ratio, and final mAP@0.5 of three seeds each."""
    turns = Turns()
    ours, theirs = [], []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            data = write_surfaces(
                Path(folder), seed=11, categories=CATEGORIES, size=SIZE, train=TRAIN, val=VAL
            )
            mine, other = side_by_side(data, seed, Path(folder), turns)
        ours.append(mine)
        theirs.append(other)
        yield Row(f"seed {seed}: ours, mAP@0.5 after {EPOCHS} epochs", mine)
        yield Row(f"seed {seed}: ultralytics, mAP@0.5 after {EPOCHS} epochs", other)
    medians = statistics.median(turns.our_seconds), statistics.median(turns.their_seconds)
    yield Row(f"ours: seconds an epoch, {TRAIN} images of {SIZE} px, {THREADS} threads", medians[0])
    yield Row("ultralytics: seconds an epoch", medians[1])
    yield at_most("epoch time, ours against ultralytics", medians[0] / medians[1], 1.10)
    # Two standard errors of the difference of the means.
    noise = 2 * ((statistics.variance(ours) + statistics.variance(theirs)) / len(SEEDS)) ** 0.5
    yield Row("seed noise of the difference (two standard errors)", noise)
    gain = statistics.mean(ours) - statistics.mean(theirs)
    yield at_least("mAP@0.5, ours less ultralytics' (means of 3 seeds), + noise", gain + noise, 0)


def side_by_side(data: LabelledSurfaces, seed: int, folder: Path, turns: Turns) -> tuple[float, float]:
    """Train both from scratch; the final mAP@0.5 of ours and of ultralytics'."""
    torch.manual_seed(seed)
    detector = build_detector(NAME, data.classes, Preprocessing(SIZE, "letterbox"))
    failure: list[BaseException] = []
    weights: dict[str, Any] = {}

    def other() -> None:
        try:
            weights.update(ultralytics_weights(data, seed, folder, turns))
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            failure.append(error)
        finally:
            turns.ours.release()

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    ours = our_weights(detector, data, seed, folder, turns)
    thread.join()
    if failure:
        raise failure[0]
    return score(ours, data), score(weights, data)


def score(weights: dict[str, Any], data: LabelledSurfaces) -> float:
    """mAP@0.5 of weights, by the same evaluation for both."""
    detector = build_detector(NAME, data.classes, Preprocessing(SIZE, "letterbox"))
    detector.load_state_dict(weights)
    empty = DetectionDataset((), preprocessing=detector.preprocessing)
    return DetectionTask(detector, empty, data.val).evaluate(detector.eval(), CPU)["map50"]


def our_weights(
    detector: Any, data: LabelledSurfaces, seed: int, folder: Path, turns: Turns
) -> dict[str, Any]:
    """The loop as a Ray Train worker runs it, a checkpoint every epoch."""
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
    )
    states: list[Any] = []
    start = [0.0]

    def on_epoch(report: EpochReport) -> None:
        torch.save(report.state, folder / "ours.pt")
        if report.epoch < EPOCHS:  # the last one would compare evaluations too
            turns.our_seconds.append(time.perf_counter() - start[0])
        states[:] = [report.state]
        turns.theirs.release()
        turns.ours.acquire()
        set_threads()
        start[0] = time.perf_counter()

    turns.ours.acquire()
    set_threads()
    start[0] = time.perf_counter()
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
    start = [0.0]

    def begin(_: Any) -> None:
        if trainer.epoch == 0:
            turns.ours.release()
        turns.theirs.acquire()
        set_threads()
        start[0] = time.perf_counter()

    def end(_: Any) -> None:
        if trainer.epoch + 1 < EPOCHS:
            turns.their_seconds.append(time.perf_counter() - start[0])
            turns.ours.release()

    trainer.add_callback("on_train_epoch_start", begin)
    trainer.add_callback("on_fit_epoch_end", end)
    trainer.train()
    return {key: value.float() for key, value in trainer.ema.ema.state_dict().items()}


def set_threads() -> None:
    """Set the threads for the next trainer, as the setting belongs to a Python thread."""
    torch.set_num_threads(THREADS)
    cv2.setNumThreads(0)
