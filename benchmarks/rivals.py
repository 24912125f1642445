"""Speed beside what people use today: KeAD and anomalib's WinCLIP, AGBP's epoch and lightly-train's.

The rivals run in environments of their own (`make rivals`); finetuning beside `yolo detect train` is the
benchmark `finetune_epoch`, maps beside a bare loop `maps_job`.
"""

import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.backbone_step import settings, surfaces, task_of
from benchmarks.kead import BATCH as MAPS_BATCH, MODEL, SHOTS, cpu_seconds, workloads
from benchmarks.real_surfaces.lightly import MISSING, ask_child, environment, lightly_python
from benchmarks.real_surfaces.settings import LightlySection
from benchmarks.registry import Row
from cluster.on_ray import machine_cpus
from training.loop import EpochReport, train

ANOMALIB = "AGSSP_BENCH_ANOMALIB"
WINCLIP = Path(__file__).with_name("winclip_child.py")
MAPS_ROUNDS, TURNS = 2, 3
SIZE, BATCH, IMAGES, EPOCHS = 224, 32, 320, 2


def run() -> Iterator[Row]:
    """Two pairs, each in turns, with the ratio of their medians."""
    yield from maps()
    yield from pretraining()


def maps() -> Iterator[Row]:
    """CPU seconds an image of the same image tower, few-shot, one thread."""
    python = os.environ.get(ANOMALIB)
    if not python:
        reason = f"skipped, ${ANOMALIB} names no Python with anomalib (make rivals)"
        yield Row("KeAD against anomalib's WinCLIP, times as fast", None, reason)
        return
    torch.set_num_threads(1)
    kead = workloads()["kead"]
    kead()
    ours, theirs = [], []
    for _ in range(MAPS_ROUNDS):
        ours.append(cpu_seconds(kead))
        command = [python, str(WINCLIP), str(MAPS_BATCH), str(SHOTS), "1"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment(None))
        theirs += json.loads(done.stdout.splitlines()[-1])
        ours.append(cpu_seconds(kead))
    yield Row(f"{MODEL}, KeAD {SHOTS}-shot: CPU seconds an image", statistics.median(ours) / MAPS_BATCH)
    yield Row(
        f"anomalib's WinCLIP {SHOTS}-shot: CPU seconds an image", statistics.median(theirs) / MAPS_BATCH
    )
    faster = statistics.median(theirs) / statistics.median(ours)
    yield Row("KeAD against anomalib's WinCLIP, times as fast", faster)


def pretraining() -> Iterator[Row]:
    """Wall time an image of an epoch, data included: AGBP (classes and maps) beside DINO, YOLOv8n in fp32."""
    python = lightly_python()
    if python is None:
        yield Row("AGBP's epoch against lightly-train's", None, MISSING)
        return
    torch.set_num_threads(machine_cpus())
    section = LightlySection(image_size=SIZE, batch_size=BATCH, precision="32-true")
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(TURNS):
            ours.append(our_seconds(Path(folder)))
            work = Path(folder) / f"turn{turn}"
            work.mkdir()
            request = {**section.model_dump(mode="json"), "images": str(Path(folder) / "images")}
            request |= {"start": None, "seconds": None, "seed": turn}
            theirs.append(ask_child(python, request, work)["step_seconds"] / BATCH)
    mine, other = statistics.median(ours), statistics.median(theirs)
    yield Row(f"AGBP: ms an image of an epoch, {SIZE} px", mine * 1000)
    yield Row(f"lightly-train, {section.method}: ms an image of an epoch", other * 1000)
    yield Row("AGBP's epoch against lightly-train's, time", mine / other)


def our_seconds(folder: Path) -> float:
    """Seconds an image in the second epoch, images in the cache; the first call draws the images."""
    where = folder / "images"
    where.mkdir(exist_ok=True)
    task = task_of(surfaces(where, IMAGES))
    rows: list[float] = []

    def on_epoch(report: EpochReport) -> None:
        rows.append(report.row["images_per_s"])

    train(task, settings(epochs=EPOCHS, batch_size=BATCH), device=torch.device("cpu"), on_epoch=on_epoch)
    return 1 / rows[-1]
