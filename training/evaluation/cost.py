"""What a detector costs to run: parameters, operations, speed, memory, all measured the same way."""

import os
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cluster.privacy import QUIET_PROFILER
from training.models.detectors import Detector

USED_SCORE = 0.25  # as in use; at the floor of AP's protocol suppression would take most of the time
WARM_UP, MIN_ROUNDS, MAX_SECONDS = 2, 5, 5.0
MIB = 1 << 20


@dataclass(frozen=True)
class ModelCost:
    """Cost of one image.

    Attributes:
        parameters: number of learnable and frozen parameters.
        gflops: 10⁹ operations of a forward pass at batch 1; a multiplication and an addition are two.
        fps: images a second, one at a time, from input tensor to boxes (suppression included), fp32; from
            the median time.
        peak_memory_mib: largest sum of live tensors during a pass, the weights included.
        device: the device's name and, on a CPU, the threads used.
    """

    parameters: int
    gflops: float
    fps: float
    peak_memory_mib: float
    device: str

    def figures(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@torch.no_grad()
def model_cost(detector: Detector, images: Tensor, device: torch.device) -> ModelCost:
    """Measure a detector on images, one at a time; about ten seconds at most.

    Args:
        detector: the detector; it is moved to `device` and put into eval mode.
        images: (N, 3, S, S) float RGB in [0, 1], N ≥ 1, used in turn, as the time depends on how many boxes
            are suppressed.
        device: device to measure on.
    """
    detector = detector.to(device).eval()
    inputs = [image[None].to(device) for image in images]

    def once(image: Tensor) -> None:
        detector.predict(image, min_score=USED_SCORE)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for image in inputs[:WARM_UP]:
        once(image)
    learning = [parameter for parameter in detector.parameters() if parameter.requires_grad]
    for (
        parameter
    ) in learning:  # where a module is given a parameter, the counter hooks a gradient and finds none
        parameter.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        once(inputs[0])
    for parameter in learning:
        parameter.requires_grad_(True)
    seconds: list[float] = []
    while len(seconds) < max(MIN_ROUNDS, len(inputs)) and (
        len(seconds) < MIN_ROUNDS or sum(seconds) < MAX_SECONDS
    ):
        start = time.perf_counter()
        once(inputs[len(seconds) % len(inputs)])
        seconds.append(time.perf_counter() - start)
    weights = sum(tensor.nbytes for tensor in detector.state_dict().values())
    peak = (
        _peak_cuda(detector, inputs[0], device) if device.type == "cuda" else _peak_cpu(detector, inputs[0])
    )
    return ModelCost(
        parameters=sum(parameter.numel() for parameter in detector.parameters()),
        gflops=counter.get_total_flops() / 1e9,
        fps=1 / statistics.median(seconds),
        peak_memory_mib=(weights + peak) / MIB,
        device=torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads",
    )


def _peak_cuda(detector: Detector, image: Tensor, device: torch.device) -> int:
    """Peak bytes above those allocated before."""
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    detector.predict(image, min_score=USED_SCORE)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_cpu(detector: Detector, image: Tensor) -> int:
    """Peak bytes above those allocated before; counts PyTorch's allocator, as on a GPU, not the process."""
    os.environ.update(QUIET_PROFILER)  # importing ultralytics lowers the level, whatever it was
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        detector.predict(image, min_score=USED_SCORE)
    results: Any = profiler.profiler
    events = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak
