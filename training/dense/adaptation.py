"""How much of a backbone learns beside neck and head: all, nothing, its norms, or low-rank updates.

Low-rank updates are torch's own parametrizations, not the library peft: that wraps a layer's `forward`, and
where timm reads the weight past it (BEiT, Swin V2, EVA-02, `…_dinov3_qkvb`: `findings/peft_timm_lora.sh`) its
update never acts, without a word. A parametrized weight is the updated one whoever reads it.
"""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from cluster.errors import UserError
from training.dense.section import LoraSection, Regime
from training.models import PartedModel
from training.weights import StateDict

WITHIN = ".parametrizations.weight."  # what torch puts before the keys of a parametrized weight


class LowRank(nn.Module):
    """W + (alpha / rank) · up @ down (Hu et al., "LoRA", equation 3); nothing is added before the first step.

    Args:
        weight: (out, in) of a linear layer.
        rank: rows of `down`, (rank, in), and columns of `up`, (out, rank).
        alpha: factor of the update, times the rank.
    """

    scale: Tensor

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        out, width = weight.shape
        self.down = nn.Parameter(weight.new_empty(rank, width))
        self.up = nn.Parameter(weight.new_zeros(out, rank))
        self.register_buffer("scale", weight.new_tensor(alpha / rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))  # as linear layers, and the authors' code

    def forward(self, weight: Tensor) -> Tensor:
        """The updated weight, (out, in)."""
        return weight + self.scale * (self.up @ self.down)


def adapt(model: PartedModel, regime: Regime, lora: LoraSection, seed: int) -> None:
    """Make only that of the backbone learn which the regime says; neck and head learn in all of them.

    Args:
        model: before its first step; changed in place. `lora` gives its state dict further keys, which
            `merged` takes away.
        regime: `linear_then_full` begins as `full`: its task freezes and thaws by epoch.
        lora: rank and factor of `lora`.
        seed: seed of its random weights.

    Raises:
        UserError: the backbone has no norms, no attention, or narrower layers than the rank.
    """
    if regime in ("full", "layerwise", "linear_then_full"):
        return
    norms = list(_norms(model)) if regime == "norms" else []
    layers = _attention_layers(model, lora.rank) if regime == "lora" else []
    model.freeze("backbone")
    for parameter in norms:
        parameter.requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers:
            register_parametrization(layer, "weight", LowRank(layer.weight, lora.rank, lora.alpha))


def check_adaptable(model: PartedModel, regime: Regime, lora: LoraSection) -> None:
    """Prove that a regime has something to learn in the model's backbone.

    Raises:
        UserError: see `adapt`.
    """
    if regime == "lora":
        _attention_layers(model, lora.rank)
    if regime == "norms":
        list(_norms(model))


def merged(state: Mapping[str, Tensor]) -> StateDict:
    """A state dict of an adapted model in the plain one's keys, low-rank updates added to its weights."""
    plain: StateDict = {}
    for key, tensor in state.items():
        layer, found, part = key.partition(WITHIN)
        if not found:
            plain[key] = tensor
        elif part == "original":
            up, down, scale = (state[f"{layer}{found}0.{name}"] for name in ("up", "down", "scale"))
            plain[f"{layer}.weight"] = tensor + scale * (up @ down)
    return plain


def _norms(model: PartedModel) -> Iterator[nn.Parameter]:
    """The scales and shifts of the backbone's norms that learn, of whatever library they are."""
    found = False
    for name, module in _backbone_modules(model):
        if "norm" in type(module).__name__.lower():
            for key, parameter in module.named_parameters(recurse=False):
                if parameter.requires_grad and model.part_of(f"{name}.{key}") == "backbone":
                    found = True
                    yield parameter
    if not found:
        raise UserError(f"The backbone of {model.architecture} has no norms that learn; leave out norms.")


def _attention_layers(model: PartedModel, rank: int) -> list[nn.Linear]:
    """Linear layers of the backbone's attention that learn: queries, keys, values and the projection."""
    layers = [
        layer
        for name, module in _backbone_modules(model)
        if hasattr(module, "num_heads")
        for key, layer in module.named_children()
        if isinstance(layer, nn.Linear)
        and layer.weight.requires_grad
        and model.part_of(f"{name}.{key}.weight") == "backbone"
    ]
    if not layers:
        raise UserError(
            f"The backbone of {model.architecture} has no attention, which lora adapts; leave out lora, or "
            "take a ViT or Swin, e.g. vit_small_patch16_dinov3.lvd1689m."
        )
    narrowest = min(min(layer.weight.shape) for layer in layers)
    if rank > narrowest:
        raise UserError(
            f"lora.rank={rank} is more than the narrowest layer of {model.architecture} has, {narrowest}; "
            "set it lower."
        )
    return layers


def _backbone_modules(model: PartedModel) -> Iterator[tuple[str, nn.Module]]:
    """Modules by name that lie in the backbone's own library."""
    prefix = model.backbone_prefix
    return ((name, module) for name, module in model.named_modules() if f"{name}.".startswith(prefix))
