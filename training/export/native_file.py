"""A detector as the file its own library opens."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.models import DetectionModel
from training.models.detectors import Detector
from training.weights import save_weights


@dataclass(frozen=True)
class NativeFile:
    """A written file, and a sentence on how to load it."""

    path: Path
    how: str


def write_native(detector: Detector, folder: Path, stem: str) -> NativeFile:
    """Write `STEM.pt` for ultralytics' own networks, else a plain state dict `STEM.safetensors`.

    Args:
        detector: the detector, on the CPU.
        folder: existing folder.
        stem: the file's name without suffix.
    """
    network = getattr(detector, "network", None)
    if _is_library_only(network):
        path = folder / f"{stem}.pt"
        torch.save({"model": _library_model(detector, network), "train_args": {"task": "detect"}}, path)
        size = detector.preprocessing.size
        note = "" if detector.preprocessing.resize == "letterbox" else "; it was trained on stretched images"
        return NativeFile(path, f'ultralytics.YOLO("{path.name}").predict(…, imgsz={size}){note}')
    path = folder / f"{stem}.safetensors"
    save_weights(path, detector.state_dict(), {"architecture": detector.architecture})
    return NativeFile(
        path,
        f'safetensors.torch.load_file("{path.name}") into the library\'s {detector.architecture} for '
        f"{len(detector.classes)} classes: keys are the library's own",
    )


def _is_library_only(network: Any) -> bool:
    """Whether the library can unpickle it without us: every module is its own or PyTorch's."""
    return isinstance(network, DetectionModel) and all(
        type(module).__module__.split(".")[0] in {"ultralytics", "torch"} for module in network.modules()
    )


def _library_model(detector: Detector, network: Any) -> Any:
    model = copy.deepcopy(network).cpu().eval().float()
    model.requires_grad_(False)
    model.names = dict(enumerate(detector.classes))
    model.nc = len(detector.classes)
    model.args = {}
    model.criterion = None  # rebuilt where it is trained
    model.model[-1].xyxy = False  # its own suppression takes centres and sizes
    return model
