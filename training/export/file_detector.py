"""A detector whose candidates come from an exported file, and the runtimes that open one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor

from training.export.onnx_export import INPUT, OUTPUTS
from training.models import Part, Stages, Targets
from training.models.detectors import Detector

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
        self.levels, self.answer = detector.levels, answer

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Detector.candidates`."""
        boxes, scores = self.answer(images.numpy())
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


def onnx_session(path: Path, threads: int) -> Any:
    """onnxruntime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx_answer(path: Path, threads: int) -> Answer:
    """A file's candidates by onnxruntime."""
    session = onnx_session(path, threads)

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
