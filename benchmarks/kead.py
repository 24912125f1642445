"""Cost of KeAD beside the bare image tower and WinCLIP: ViT-B-16-plus-240, batch 8, one thread."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import open_clip
import torch
from torch import Tensor

from benchmarks.registry import Row, at_least, at_most
from pipelines.encoder import LoadedEncoder
from pipelines.maps import CategoryState, KeAD, KeadSettings, MapMethod, WinCLIP, WinclipSettings

MODEL = "ViT-B-16-plus-240"
BATCH, SHOTS, ROUNDS = 8, 4, 9
WINCLIP_ROUNDS = 2  # a minute each


def run() -> Iterator[Row]:
    """Time ratios (interleaved calls in one process) and the peak-memory ratio (a process each)."""
    torch.set_num_threads(1)
    sides = workloads()
    for side in ("bare", "kead"):
        sides[side]()
    rounds = [{side: cpu_seconds(sides[side]) for side in ("bare", "kead")} for _ in range(ROUNDS)]
    bare, kead = (statistics.median(seconds[side] for seconds in rounds) for side in ("bare", "kead"))
    yield Row(f"{MODEL}, encode_image: CPU seconds per image", bare / BATCH)
    yield Row(f"{MODEL}, KeAD {SHOTS}-shot: CPU seconds per image", kead / BATCH)
    # The ratio of neighbours: what slows the machine for a while slows both.
    ratio = statistics.median(seconds["kead"] / seconds["bare"] for seconds in rounds)
    yield at_most("KeAD against encode_image, CPU time", ratio, 1.05)
    peaks = {side: peak_bytes(side) for side in ("bare", "kead")}
    yield at_most("KeAD against encode_image, peak memory of the process", peaks["kead"] / peaks["bare"], 1.3)
    sides["winclip"]()
    pairs = [(cpu_seconds(sides["winclip"]), cpu_seconds(sides["kead"])) for _ in range(WINCLIP_ROUNDS)]
    yield Row(f"{MODEL}, WinCLIP {SHOTS}-shot: CPU seconds per image", min(pairs)[0] / BATCH)
    faster = statistics.median(winclip / kead for winclip, kead in pairs)
    yield at_least("KeAD against WinCLIP, times as fast", faster, 12)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time, not wall time, of a call: other processes on the machine don't count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def workloads() -> dict[str, Callable[[], object]]:
    """One batch through the image tower, and through KeAD's and WinCLIP's maps and scores."""
    torch.manual_seed(0)
    model = open_clip.create_model(MODEL, pretrained=None, require_pretrained=False).eval()
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    encoder = LoadedEncoder(model, open_clip.get_tokenizer(MODEL), 240, mean, std, MODEL, "random")
    images = torch.randn(BATCH, 3, 240, 240)

    @torch.inference_mode()
    def bare() -> Tensor:
        embedding: Tensor = encoder.visual(images)
        return embedding

    def mapped(method: MapMethod) -> Callable[[], object]:
        t_n, t_a = torch.nn.functional.normalize(torch.randn(2, encoder.visual.output_dim), dim=-1)
        state: list[CategoryState] = []

        @torch.inference_mode()
        def work() -> object:
            if not state:
                references = method.embed_normalised(torch.randn(SHOTS, 3, 240, 240))
                banks = tuple(layer.flatten(0, 1) for layer in references.patches)
                state.append(CategoryState(t_n, t_a, banks))
            return method.match(method.embed_normalised(images), state[0])

        return work

    return {
        "bare": bare,
        "kead": mapped(KeAD(encoder, KeadSettings(shots=SHOTS))),
        "winclip": mapped(WinCLIP(encoder, WinclipSettings(shots=SHOTS))),
    }


def peak_bytes(side: str) -> int:
    """Largest resident size of a process, its model included, while it runs one side three times."""
    command = [sys.executable, "-m", "benchmarks.kead", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
    return int(done.stdout.split()[-1])


def _measure_peak(side: str) -> None:
    torch.set_num_threads(1)
    work = workloads()[side]
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, without the model's making
    for _ in range(3):
        work()
    status = Path("/proc/self/status").read_text()
    print(int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) * 1024)


if __name__ == "__main__":
    _measure_peak(sys.argv[1])
