"""What runs the image tower beside PyTorch, taken only where it gives what PyTorch gives."""

from collections.abc import Callable

import torch
from torch import Tensor

from cluster.cpu_products import bf16_advice
from cluster.errors import UserError
from cluster.progress import say
from pipelines.encoder import DenseEmbeddings, DenseEncoder
from pipelines.maps.method import MapMethod
from pipelines.maps.section import MapsSection

MOST_DIFFERENCE = 1e-4  # of any embedding's value; float32 rounding stays below 1e-6
LEAST_WEIGHTS = 20_000_000  # smaller towers map a folder before a second session has started


def take_runtime(method: MapMethod, section: MapsSection) -> None:
    """Have the section's runtime embed a loaded method's images, after a proof on a batch.

    Args:
        method: the method; `auto` leaves it on PyTorch, saying so in a line, where the proof fails.
        section: the config.

    Raises:
        UserError: `onnx` was asked for by name and can't be had, or differs from PyTorch.
    """
    dense = method.tower
    if section.runtime == "torch" or dense is None:
        return
    asked = section.runtime == "onnx"
    if not asked and (method.device.type != "cpu" or section.precision != "fp32" or section.compile):
        return
    if not asked and not _is_large(dense):
        return
    if method.device.type != "cpu":
        raise UserError("maps.runtime=onnx is for CPUs; on a GPU take auto or torch.")
    fault = _taken(method, dense)
    if fault is None:
        return
    if asked:
        raise UserError(f"maps.runtime=onnx can't be used here: {fault}; take maps.runtime=torch.")
    say(f"maps: the encoder runs on PyTorch, not on onnxruntime: {fault}")


def say_precision(method: MapMethod) -> None:
    """One line where another `maps.precision` would suit this CPU; none is taken by itself."""
    if method.device.type != "cpu":
        return
    gain = "takes about two thirds of the time, and makes other maps, within 0.01 of these"
    worth = method.tower is not None and _is_large(method.tower)
    advice = bf16_advice(method.precision, "maps.precision", gain=gain, worth=worth)
    if advice is not None:
        say(f"maps: {advice}")


def _is_large(dense: DenseEncoder) -> bool:
    return sum(weight.numel() for weight in dense.parameters()) >= LEAST_WEIGHTS


def _taken(method: MapMethod, dense: DenseEncoder) -> str | None:
    """Take onnxruntime; returns why it was not taken."""
    try:
        from pipelines.maps.onnx_tower import OnnxTower  # imports cost a small job half a second
    except ImportError as error:
        return f"{error.name} is not installed"
    try:
        tower = OnnxTower(dense, torch.get_num_threads())
    except ValueError as error:
        return str(error)
    difference = largest_difference(dense, tower)
    if not difference <= MOST_DIFFERENCE:  # NaN too
        return f"its embeddings differ from PyTorch's by {difference:.2g}"
    method.embed_with(tower)
    return None


@torch.inference_mode()
def largest_difference(dense: DenseEncoder, tower: Callable[[Tensor], DenseEmbeddings]) -> float:
    """The largest difference of any embedding's value, over two images of coarse noise."""
    side = int(dense.visual.image_size[0])
    noise = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.interpolate(noise, (side, side), mode="bilinear")
    wanted, given = dense(images), tower(images)
    pairs = zip([wanted.cls, *wanted.patches], [given.cls, *given.patches], strict=True)
    return torch.stack([(one - other).abs().max() for one, other in pairs]).max().item()
