"""KeAD's image tower by PyTorch, onnxruntime and OpenVINO, in turn: ViT-B-16-plus-240, batch 4.

By as many threads as there are CPUs for, two at most. Where the CPU has products of bf16 (`maps.precision`),
they are further sides. OpenVINO is the extra `openvino`. `AGSSP_BENCH_BEFORE` names the Python of another
installation of agssp, whose tower is one more.
"""

import importlib.util
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import open_clip
import torch
from torch import Tensor

from benchmarks.registry import Row, at_least, at_most
from cluster.cpu_products import bf16_products
from cluster.on_ray import machine_cpus
from pipelines.encoder import DenseEmbeddings, DenseEncoder
from pipelines.maps import OnnxTower, tower_file

BEFORE = "AGSSP_BENCH_BEFORE"
MODEL, SIDE, BATCH, ROUNDS = "ViT-B-16-plus-240", 240, 4, 5
THREADS = min(2, machine_cpus())
FASTER, FASTER_BY_BF16, MOST_DIFFERENCE = 1.8, 3.0, 1e-4
# Answers each line on its input with the CPU and wall seconds of one batch.
CHILD = f"""
import sys, time, open_clip, torch
try:
    from pipelines.encoder import DenseEncoder
except ImportError:  # an installation from before the rooms
    from pipelines.surgery import DenseEncoder
torch.set_num_threads({THREADS})
torch.manual_seed(0)
model = open_clip.create_model({MODEL!r}, pretrained=None, require_pretrained=False).eval()
dense, images = DenseEncoder(model.visual), torch.randn({BATCH}, 3, {SIDE}, {SIDE})
with torch.inference_mode():
    for _ in sys.stdin:
        wall, cpu = time.monotonic(), time.process_time()
        dense(images)
        print(time.process_time() - cpu, time.monotonic() - wall, flush=True)
"""


def run() -> Iterator[Row]:
    """CPU and wall seconds an image, and ratios of neighbours, as a busy machine slows both; the load."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    model = open_clip.create_model(MODEL, pretrained=None, require_pretrained=False).eval()
    dense = DenseEncoder(model.requires_grad_(False).visual)
    images = torch.randn(BATCH, 3, SIDE, SIDE)
    began = time.process_time()
    tower = OnnxTower(dense, THREADS)
    yield Row("onnxruntime: CPU seconds until it is ready", time.process_time() - began)
    yield at_most(
        "onnxruntime against torch: largest difference", _apart(dense, tower, images), MOST_DIFFERENCE
    )
    sides: dict[str, Callable[[], tuple[float, float]]] = {
        "torch": lambda: _timed(dense, images),
        "onnxruntime": lambda: _timed(tower, images),
    }
    if importlib.util.find_spec("openvino") is None:
        yield Row("onnxruntime against openvino", None, "the extra openvino is not installed")
    else:
        openvino_tower = _openvino_tower(dense)
        yield at_most(
            "openvino against torch: largest difference",
            _apart(dense, openvino_tower, images),
            MOST_DIFFERENCE,
        )
        sides["openvino"] = lambda: _timed(openvino_tower, images)
        if bf16_products():
            half_tower = _openvino_tower(dense, "bf16")
            sides["openvino, bf16"] = lambda: _timed(half_tower, images)
    if bf16_products():
        sides["torch, bf16"] = lambda: _timed(_rounding(dense), images)
    other = os.environ.get(BEFORE)
    with ExitStack() as open_until_measured:
        if other is not None:
            sides["before"] = open_until_measured.enter_context(_child(other))
        rounds = [{name: side() for name, side in sides.items()} for _ in range(ROUNDS + 1)][1:]
    yield Row("load of the machine", os.getloadavg()[0])
    for place, clock in enumerate(("CPU", "wall")):
        for name in sides:
            seconds = statistics.median(one[name][place] for one in rounds) / BATCH
            yield Row(f"{name}: {clock} seconds an image", seconds)
        for faster, slower in _pairs(list(sides)):
            ratio = statistics.median(one[slower][place] / one[faster][place] for one in rounds)
            what = f"{faster} against {slower}, {clock} time: times as fast"
            goal = FASTER_BY_BF16 if faster == "torch, bf16" else FASTER
            yield at_least(what, ratio, goal) if (slower, clock) == ("before", "CPU") else Row(what, ratio)
    if other is None:
        yield Row("onnxruntime against before", None, f"{BEFORE} is not set")
    if not bf16_products():
        yield Row("torch, bf16 against before", None, "this CPU has no products of bf16")


def _pairs(sides: list[str]) -> list[tuple[str, str]]:
    """What is compared: onnxruntime with all of float32, bf16 with PyTorch's float32 and the build before."""
    rounded = [name for name in sides if name.endswith("bf16")]
    exact = [name for name in sides if name not in (*rounded, "onnxruntime")]
    plain = [name for name in exact if name != "openvino"]
    return [("onnxruntime", name) for name in exact] + [(half, name) for half in rounded for name in plain]


def _rounding(dense: DenseEncoder) -> Callable[[Tensor], DenseEmbeddings]:
    """The tower as `maps.precision=bf16` has it."""

    def embed(images: Tensor) -> DenseEmbeddings:
        with torch.autocast("cpu", torch.bfloat16):
            embedded: DenseEmbeddings = dense(images)
        return embedded

    return embed


def _timed(embed: Callable[[Tensor], DenseEmbeddings], images: Tensor) -> tuple[float, float]:
    wall, cpu = time.monotonic(), time.process_time()
    with torch.inference_mode():
        embed(images)
    return time.process_time() - cpu, time.monotonic() - wall


def _openvino_tower(dense: DenseEncoder, precision: str = "f32") -> Callable[[Tensor], DenseEmbeddings]:
    """The same ONNX file by OpenVINO; of bf16 all of it, the sum over the blocks too."""
    import openvino

    content, cls, patches = tower_file(dense)
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": precision}
    model = core.compile_model(core.read_model(content), "CPU", settings)

    def embed(images: Tensor) -> DenseEmbeddings:
        results = model([images.numpy()])
        values = {name: torch.from_numpy(np.array(results[name])) for name in {cls, *patches}}
        return DenseEmbeddings(values[cls], [values[name] for name in patches])

    return embed


def _apart(dense: DenseEncoder, tower: Callable[[Tensor], DenseEmbeddings], images: Tensor) -> float:
    with torch.inference_mode():
        one, other = dense(images), tower(images)
    pairs = zip([one.cls, *one.patches], [other.cls, *other.patches], strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


@contextmanager
def _child(python: str) -> Iterator[Callable[[], tuple[float, float]]]:
    """Another installation's tower, in a process that waits between its batches and ends with the block."""
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as folder,  # so that the working directory's sources don't come first
        subprocess.Popen([python, "-c", CHILD], cwd=folder, stdin=pipe, stdout=pipe, text=True) as process,
    ):
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def timed() -> tuple[float, float]:
            print(file=stdin, flush=True)
            cpu, wall = map(float, stdout.readline().split())
            return cpu, wall

        yield timed
