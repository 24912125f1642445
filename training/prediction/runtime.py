"""What runs a detector beside PyTorch on a CPU: taken where it answers alike and, unless named, sooner."""

import tempfile
from pathlib import Path

import torch

from cluster.cpu_products import bf16_advice
from cluster.errors import UserError
from cluster.progress import say
from cluster.storage import Storage
from training.models.detectors import Detector
from training.prediction.readiness import ready
from training.prediction.section import PredictSection

ONNX_FILE = "detector.onnx"
TORCH_KEPT = "torch"  # beside the listing: `auto` has tried both, and a job goes on as it began
# A YOLOv8n saves 65 CPU ms per million pixels. The file, its proof and the timing take 13 CPU seconds, 21
# where others use the cores too: 0.2e9 to 0.32e9 pixels are even.
LEAST_PIXELS = 400_000_000
MOST_BOX_ERROR, MOST_SCORE_ERROR = 0.01, 1e-4  # pixels of the input; rounding of YOLOs stays far below both
TIMED_IMAGES, ROUNDS = 4, 5


def take_runtime(
    section: PredictSection, detector: Detector, work: Storage, *, inputs: int, gpus: float
) -> bool:
    """Whether the section's runtime is onnxruntime, for which `ONNX_FILE` lies in `work` then.

    The file is written once a job and proved against PyTorch. `auto` writes none for a job of fewer than
    `LEAST_PIXELS`, and then times both on a few images; where PyTorch stays, it says why in a line.

    Args:
        section: the config.
        detector: the detector, on the CPU; it may be made ready to predict.
        work: directory of the job's own files, which every worker reaches.
        inputs: images, or tiles of images, that the job shows to the detector.
        gpus: GPUs of a worker.

    Raises:
        UserError: `onnx` was asked for by name and can't be had, differs from PyTorch, or stands beside bf16.
    """
    if section.runtime == "torch":
        return False
    asked = section.runtime == "onnx"
    if section.precision != "fp32":
        if asked:
            raise UserError(
                "predict.runtime=onnx computes in float32; take predict.precision=fp32, or "
                "predict.runtime=torch."
            )
        return False
    if gpus:
        if asked:
            raise UserError("predict.runtime=onnx is for CPUs; on a GPU take auto or torch.")
        return False
    if work.exists(ONNX_FILE):
        return True
    large = _pixels(section, detector, inputs) >= LEAST_PIXELS
    if not asked and (not large or work.exists(TORCH_KEPT)):
        return False
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / ONNX_FILE
        fault = _not_written(detector, file)
        if fault is None and not asked:
            fault = _slower(detector, file, min(section.batch_size, TIMED_IMAGES))
        if fault is None:
            work.put(file, ONNX_FILE)
            return True
    if asked:
        raise UserError(f"predict.runtime=onnx can't be used here: {fault}; take predict.runtime=torch.")
    say(f"predict: the detector runs on PyTorch, not on onnxruntime: {fault}")
    work.write(TORCH_KEPT, b"")
    return False


def say_precision(section: PredictSection, detector: Detector, *, inputs: int) -> None:
    """One line where another `predict.precision` would suit this CPU; none is taken by itself.

    Args:
        section: the config.
        detector: the detector.
        inputs: images, or tiles of images, that the job shows to it.
    """
    gain = "takes about two thirds of the time, and moves boxes by less than a pixel"
    worth = _pixels(section, detector, inputs) >= LEAST_PIXELS
    advice = bf16_advice(section.precision, "predict.precision", gain=gain, worth=worth)
    if advice is not None:
        say(f"predict: {advice}")


def _pixels(section: PredictSection, detector: Detector, inputs: int) -> int:
    """Pixels of the network's input in the whole job."""
    height, width = detector.preprocessing.shape
    return inputs * (1 << len(section.flips)) * height * width


def on_onnx(detector: Detector, work: Storage) -> Detector:
    """The detector with its candidates from `ONNX_FILE` of `work`, on as many threads as PyTorch has here."""
    from training.runtimes import FileDetector, onnx_answer

    with work.local_copy(ONNX_FILE) as path:
        # Waiting threads sleep, as reading wants their cores.
        return FileDetector(detector, onnx_answer(path, torch.get_num_threads(), spins=False))


def _not_written(detector: Detector, file: Path) -> str | None:
    """Write the detector's file; returns why there is none that answers as PyTorch does."""
    try:
        from training.runtimes import export_onnx  # imports cost a small job seconds

        check = export_onnx(detector, file, {})
    except ImportError as error:
        return f"{error.name} is not installed"
    except RuntimeError as error:
        first = str(error).partition("\n")[0].partition(". ")[0]  # the exporter goes on with advice
        return f"the {detector.architecture} can't be written for it ({first})"
    if check.boxes <= MOST_BOX_ERROR and check.scores <= MOST_SCORE_ERROR:
        return None
    return f"its boxes differ from PyTorch's by {check.boxes:.2g} pixels, its scores by {check.scores:.2g}"


def _slower(detector: Detector, file: Path, count: int) -> str | None:
    """Time both on a batch of so many images; returns why PyTorch is the better choice."""
    from training.runtimes import in_turn, onnx_answer, torch_answer, trial_batch

    images = trial_batch(detector, count).numpy()
    sides = {
        "torch": torch_answer(ready(detector, torch.device("cpu"))),
        "onnx": onnx_answer(file, torch.get_num_threads(), spins=False),
    }
    times = in_turn(sides, [images], rounds=ROUNDS)
    faster = min(times["torch"]) / min(times["onnx"])  # others on the machine only ever add time
    if faster > 1:
        say(f"predict: the detector runs on onnxruntime, {faster:.2f} times as fast as PyTorch on a batch")
        return None
    return f"it takes {1 / faster:.2f} times PyTorch's time on a batch"
