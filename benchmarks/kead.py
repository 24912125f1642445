"""Cost of KeAD beside the bare image tower, WinCLIP and another runtime: ViT-B-16-plus-240, one thread."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch import Tensor

from benchmarks.kead_runtimes import run as runtimes
from benchmarks.registry import Row, at_least, at_most
from pipelines.encoder import LoadedEncoder
from pipelines.maps import (
    CategoryState,
    KeAD,
    KeadSettings,
    MapMethod,
    MapsSection,
    WinCLIP,
    WinclipSettings,
    tiled_image,
    tiled_maps,
    tiled_state,
)

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
    yield at_most("KeAD in tiles against encode_image on the same tiles, CPU time", tiled_ratio(sides), 1.1)
    sides["winclip"]()
    pairs = [(cpu_seconds(sides["winclip"]), cpu_seconds(sides["kead"])) for _ in range(WINCLIP_ROUNDS)]
    yield Row(f"{MODEL}, WinCLIP {SHOTS}-shot: CPU seconds per image", min(pairs)[0] / BATCH)
    faster = statistics.median(winclip / kead for winclip, kead in pairs)
    yield at_least("KeAD against WinCLIP, times as fast", faster, 12)
    yield from runtimes()


def tiled_ratio(sides: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> float:
    """CPU time of a tiled image's map over that of the bare image tower on as many pixels, as neighbours."""
    for side in ("bare", "tiled"):
        sides[side]()
    seconds = [(cpu_seconds(sides["tiled"]), cpu_seconds(sides["bare"])) for _ in range(rounds)]
    return statistics.median(tiled / bare for tiled, bare in seconds)


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

    section = MapsSection.model_validate({"tiles": 240, "kead": {"shots": SHOTS}})
    kead = KeAD(encoder, section.kead)
    random = np.random.default_rng(0)
    # 4 × 2 tiles, a batch of them.
    pictures = [random.integers(0, 255, (416, 768, 3), np.uint8) for _ in range(SHOTS + 1)]
    tiled_states: list[CategoryState] = []

    def tiled() -> object:
        if not tiled_states:
            prompts = section.library().category("rail")
            tiled_states.append(tiled_state(kead, prompts, pictures[1:], section, BATCH))
        return tiled_maps(kead, [tiled_image(kead, pictures[0], tiled_states[0], section)], BATCH, 1)

    return {
        "bare": bare,
        "tiled": tiled,
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
