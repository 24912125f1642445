"""Cost of KeAD's dense path beside the bare image tower: ViT-B-16-plus-240, batch 8, one thread."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import open_clip
import torch
from torch import Tensor

from benchmarks.registry import Row, at_most
from pipelines.kead import few_shot_map, zero_shot_map
from pipelines.map_method import anomaly_probability
from pipelines.surgery import DenseEncoder

MODEL = "ViT-B-16-plus-240"
BATCH, SHOTS, ROUNDS = 8, 4, 9
TAU = 0.07
SIDES = ("bare", "kead")


def run() -> Iterator[Row]:
    """Time ratio (interleaved calls in one process) and peak-memory ratio (a process each)."""
    torch.set_num_threads(1)
    sides = workloads()
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(ROUNDS):
        for name in SIDES:
            # CPU time, not wall time: other processes on the machine don't count.
            start = time.process_time()
            sides[name]()
            seconds[name].append(time.process_time() - start)
    bare, kead = (statistics.median(seconds[name][1:]) / BATCH for name in SIDES)
    yield Row(f"{MODEL}, encode_image: CPU seconds per image", bare)
    yield Row(f"{MODEL}, KeAD {SHOTS}-shot: CPU seconds per image", kead)
    yield at_most("KeAD against encode_image, CPU time", kead / bare, 1.05)
    peaks = {name: peak_bytes(name) for name in SIDES}
    yield at_most("KeAD against encode_image, peak memory of the process", peaks["kead"] / peaks["bare"], 1.3)


def workloads() -> dict[str, Callable[[], object]]:
    """One batch through the image tower, and through KeAD's maps and scores."""
    torch.manual_seed(0)
    visual = open_clip.create_model(MODEL, pretrained=None, require_pretrained=False).visual.eval()
    dense = DenseEncoder(visual)
    images = torch.randn(BATCH, 3, *visual.image_size)
    width = visual.output_dim
    t_n, t_a = torch.nn.functional.normalize(torch.randn(2, width), dim=-1)
    bank = torch.nn.functional.normalize(torch.randn(SHOTS * dense.grid**2, width), dim=-1)
    banks = (bank,) * len(dense.layers)

    @torch.inference_mode()
    def bare() -> Tensor:
        embedding: Tensor = visual(images)
        return embedding

    @torch.inference_mode()
    def kead() -> tuple[Tensor, Tensor]:
        embedded = dense(images)
        maps = zero_shot_map(embedded.patches, t_n, t_a, TAU) + few_shot_map(embedded.patches, banks)
        return maps, anomaly_probability(embedded.cls, t_n, t_a, TAU)

    return {"bare": bare, "kead": kead}


def peak_bytes(side: str) -> int:
    """Largest resident size of a process that runs one side three times."""
    command = [sys.executable, "-m", "benchmarks.kead", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
    return int(done.stdout.split()[-1])


def _measure_peak(side: str) -> None:
    torch.set_num_threads(1)
    work = workloads()[side]
    for _ in range(3):
        work()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    _measure_peak(sys.argv[1])
