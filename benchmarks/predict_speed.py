"""Files to boxes in batches of 16 by YOLOv8n: ours by PyTorch, in bf16, by onnxruntime; ultralytics' own.

In turn, of the same weights: reading, decoding, resizing, the network, suppression, rows of the table, in
one process with the same threads. The goal is for what `predict.runtime=auto` takes of a large job; what it
takes once a job, to write and prove the file and to time it, stands apart. The network is not trained; its
class scores are shifted so that one in a hundred is a box.
"""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa
import torch

from benchmarks.registry import Row, at_least
from cluster.cpu_products import bf16_products
from cluster.on_ray import machine_cpus
from cluster.storage import Storage
from pipelines.surfaces import generate
from training.export import write_native
from training.models import Preprocessing
from training.models.detectors import Detector, build_detector
from training.prediction import (
    PredictSection,
    draw_rows,
    look_as,
    on_onnx,
    predict_rows,
    read_rows,
    ready,
    take_runtime,
)

IMAGES, ORIGINAL, SIDE, BATCH = 32, 200, 224, 16
ROUNDS = 5
MIN_SCORE, SHARE = 0.25, 0.01
FASTER = 1.2
LARGE = 1_000_000  # images of a job
CPU = torch.device("cpu")


def run() -> Iterator[Row]:
    """Images a second, by CPU time too: another's work on the machine changes that less."""
    from ultralytics import YOLO

    torch.set_num_threads(machine_cpus())
    with tempfile.TemporaryDirectory() as folder:
        files = _files(Path(folder))
        detector = _detector(files)
        theirs = YOLO(write_native(detector, Path(folder), "detector").path)
        work = Storage.open(f"{folder}/work")
        section = PredictSection(batch_size=BATCH)
        began, used = time.monotonic(), time.process_time()
        taken = take_runtime(section, copy.deepcopy(detector), work, inputs=LARGE, gpus=0)
        yield Row("a large job's start-up for onnxruntime: seconds", time.monotonic() - began)
        yield Row("a large job's start-up for onnxruntime: CPU seconds", time.process_time() - used)
        if not taken:
            take_runtime(section.model_copy(update={"runtime": "onnx"}), detector, work, inputs=LARGE, gpus=0)
        by_onnx = ready(on_onnx(detector, work), CPU)
        detector = ready(detector, CPU)
        in_bf16 = look_as(PredictSection(precision="bf16"), detector)
        table = pa.table({"uri": [str(file) for file in files], "name": [file.name for file in files]})
        drawn = Storage.open(f"{folder}/drawn")

        def ours(detector: Detector) -> list[pa.Table]:
            batches = (table.slice(start, BATCH) for start in range(0, IMAGES, BATCH))
            read = (read_rows(batch, detector.preprocessing) for batch in batches)
            return [predict_rows(rows, detector, CPU, MIN_SCORE) for rows in read]

        def library() -> list[Any]:
            names = [str(file) for file in files]
            batches = [names[start : start + BATCH] for start in range(0, IMAGES, BATCH)]
            settings = {"imgsz": SIDE, "conf": MIN_SCORE, "iou": detector.nms_iou, "batch": BATCH}
            return [one for batch in batches for one in theirs.predict(batch, verbose=False, **settings)]

        tables = ours(detector)
        yield Row("boxes an image, PyTorch", _boxes(tables) / IMAGES)
        yield Row("boxes an image, PyTorch in bf16", _boxes(ours(in_bf16)) / IMAGES)
        yield Row("boxes an image, onnxruntime", _boxes(ours(by_onnx)) / IMAGES)
        yield Row("boxes an image, ultralytics'", sum(len(one.boxes) for one in library()) / IMAGES)
        ways: dict[str, Callable[[], object]] = {
            "PyTorch": lambda: ours(detector),
            "PyTorch in bf16": lambda: ours(in_bf16),
            "onnxruntime": lambda: ours(by_onnx),
            "ultralytics'": library,
            "pictures of ours": lambda: [draw_rows(rows, drawn, 960) for rows in tables],
        }
        wall, cpu = _times(ways)
        for name in ways:
            yield Row(f"{name}: images a second", IMAGES / wall[name])
            yield Row(f"{name}: CPU ms an image", 1000 * cpu[name] / IMAGES)
        for name in ("PyTorch", "PyTorch in bf16", "onnxruntime"):
            yield Row(f"CPU time, ultralytics' by {name}'s", cpu["ultralytics'"] / cpu[name])
        yield Row("images a second, PyTorch's by ultralytics'", wall["ultralytics'"] / wall["PyTorch"])
        in_products = wall["ultralytics'"] / wall["PyTorch in bf16"]
        if bf16_products():
            yield at_least("images a second, PyTorch's in bf16 by ultralytics'", in_products, FASTER)
        else:  # emulated
            yield Row("images a second, PyTorch's in bf16 by ultralytics'", in_products)
        auto = "onnxruntime" if taken else "PyTorch"
        theirs_by_ours = wall["ultralytics'"] / wall[auto]
        yield at_least(f"images a second, auto's ({auto}) by ultralytics'", theirs_by_ours, FASTER)


def _boxes(tables: list[pa.Table]) -> int:
    return sum(len(row) for rows in tables for row in rows.column("boxes").to_pylist())


def _files(folder: Path) -> list[Path]:
    files = [folder / f"{index:03}.jpg" for index in range(IMAGES)]
    for index, file in enumerate(files):
        cv2.imwrite(str(file), generate(5, index, size=ORIGINAL, category="steel_sheet").image)
    return files


def _detector(files: list[Path]) -> Detector:
    """YOLOv8n of random weights; one class score in a hundred is above `MIN_SCORE`."""
    torch.manual_seed(1)
    preprocessing = Preprocessing(SIDE, "letterbox")
    detector = build_detector("yolov8n", ("crack", "hole"), preprocessing).eval()
    pixels = read_rows(pa.table({"uri": [str(files[0])], "name": ["0"]}), preprocessing).column("pixels")
    image = torch.tensor(pixels.combine_chunks().to_numpy_ndarray()).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        for module in detector.modules():  # else all places of all images answer alike
            if isinstance(module, torch.nn.BatchNorm2d):
                module.bias.uniform_(-1, 1)
        scores = detector.candidates(image)[1].logit().flatten()
        shift = torch.tensor(MIN_SCORE).logit() - scores.quantile(1 - SHARE)
        for key, value in detector.state_dict().items():
            if ".cv3." in key and key.endswith(".2.bias"):
                value += shift
    return detector


def _times(ways: dict[str, Callable[[], object]]) -> tuple[dict[str, float], dict[str, float]]:
    """Medians of wall and CPU seconds, all ways in turn; the first round only warms up."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            began, used = time.monotonic(), time.process_time()
            way()
            if turn:
                wall[name].append(time.monotonic() - began)
                cpu[name].append(time.process_time() - used)
    middle = statistics.median
    return {name: middle(times) for name, times in wall.items()}, {n: middle(t) for n, t in cpu.items()}
