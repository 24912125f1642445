"""A detector whose candidates come from an exported file, and the runtimes that open one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor

from training.models import Part, Stages, Targets
from training.models.detectors import Detector
from training.runtimes.onnx_export import INPUT, OUTPUTS

Array = npt.NDArray[np.float32]
Answer = Callable[[Array], tuple[Array, Array]]  # (B, 3, H, W) to boxes and scores, as of `candidates`


class FileDetector(Detector):
    """A file in the place of the detector it was made from: it predicts alike, and learns nothing.

    Args:
        detector: what the file was made from.
        answer: the file's candidates of a batch.
    """

    def __init__(self, detector: Detector, answer: Answer) -> None:
        super().__init__()
        self.architecture, self.classes = detector.architecture, detector.classes
        self.preprocessing, self.nms_iou = detector.preprocessing, detector.nms_iou
        self.levels, self.cut, self.flips = detector.levels, detector.cut, detector.flips
        self.answer = answer

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Detector.candidates`."""
        boxes, scores = self.answer(images.contiguous().numpy())
        return torch.from_numpy(boxes), torch.from_numpy(scores)

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """Not to be called."""
        self._learns_nothing()

    def part_of(self, key: str) -> Part:
        """Not to be called."""
        self._learns_nothing()

    def stages(self, count: int) -> Stages:
        """Not to be called."""
        self._learns_nothing()

    def _learns_nothing(self) -> NoReturn:
        raise TypeError(f"the exported {self.architecture} is a file, which can't be trained")


def torch_answer(detector: Detector) -> Answer:
    """PyTorch's own candidates, of a detector on the CPU in eval mode."""

    def answer(images: Array) -> tuple[Array, Array]:
        with torch.no_grad():
            boxes, scores = detector.candidates(torch.from_numpy(images))
        return boxes.numpy(), scores.numpy()

    return answer


def onnx_session(path: Path, threads: int, *, spins: bool = True) -> Any:
    """onnxruntime on the CPU.

    Args:
        path: the file.
        threads: threads of a product.
        spins: whether waiting threads keep their core, which others may want.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not spins:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx_answer(path: Path, threads: int, *, spins: bool = True) -> Answer:
    """A file's candidates by onnxruntime, see `onnx_session`."""
    session = onnx_session(path, threads, spins=spins)

    def answer(images: Array) -> tuple[Array, Array]:
        boxes, scores = session.run(list(OUTPUTS), {INPUT: images})
        return boxes, scores

    return answer


def openvino_answer(path: Path, threads: int) -> Answer:
    """A file's candidates by OpenVINO on the CPU, computed in float32 where the file has no other numbers."""
    import openvino

    # Without the hint newer CPUs would compute in bfloat16, which is another answer than the file's.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(str(path), "CPU", settings)

    def answer(images: Array) -> tuple[Array, Array]:
        results = model({INPUT: images})
        boxes, scores = (np.array(results[name]) for name in OUTPUTS)  # the runtime's memory is used again
        return boxes, scores

    return answer


def answer_of(path: Path, threads: int) -> Answer:
    """A file's candidates by the runtime that it is for."""
    return (openvino_answer if path.suffix == ".xml" else onnx_answer)(path, threads)
