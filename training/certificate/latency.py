"""How long one image takes, from its pixels to its boxes, on this machine."""

import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.models import Image
from training.models.detectors import Detector
from training.prediction.predict import predict

WARM_UP = 3


def machine_name(device: torch.device) -> str:
    """This machine, its processor, and what the detector runs on."""
    threads = torch.get_num_threads()
    runs_on = f"{threads} threads"
    if device.type == "cuda":
        runs_on = torch.cuda.get_device_name(device)
    return f"{platform.node() or 'unnamed'}, {_processor()}, {runs_on}, PyTorch {torch.__version__}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def latency(
    detector: Detector,
    images: Sequence[Image],
    *,
    device: torch.device,
    min_score: float,
) -> dict[str, Any]:
    """Median and 95th percentile of the seconds of one image at a time, layout and suppression included.

    Args:
        detector: the detector.
        images: (H, W, 3) uint8 RGB each, decoded already.
        device: device to run on.
        min_score: see `predict`.
    """
    seconds: list[float] = []
    for number, image in enumerate([*images[:WARM_UP], *images]):
        begin = time.perf_counter()
        for _ in predict(detector, {"one": image}, device=device, batch_size=1, min_score=min_score):
            pass  # boxes come back as arrays of this process, so a GPU has ended its work
        if number >= min(WARM_UP, len(images)):
            seconds.append(time.perf_counter() - begin)
    return {
        "machine": machine_name(device),
        "images": len(seconds),
        "median_ms": 1000 * statistics.median(seconds),
        "p95_ms": 1000 * float(np.percentile(seconds, 95)),
    }
