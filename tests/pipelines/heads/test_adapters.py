"""AA-CLIP's adapters against a plain float64 reference, hooked into open_clip's own towers."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from cluster.errors import UserError
from pipelines.encoder.loading import LoadedEncoder
from pipelines.encoder.prompts import load_library
from pipelines.heads.adapters import (
    AaClipAdapters,
    ResidualAdapter,
    adapted_anchor,
    adapted_image,
    anchor_sentences,
    require_text_blocks,
)
from tests.pipelines.tiny_encoder import DIM, IMAGE, WIDTH, tiny_clip, tiny_encoder

LAYERS = (2, 5)
Array = npt.NDArray[np.float64]


def plain_adapter(x: Array, weight: Array) -> Array:
    """λ·r·|x|/|r| + (1 − λ)·x with r = LeakyReLU(W x), λ = 0.1, slope 0.01; token by token."""
    result = np.empty_like(x)
    for place in np.ndindex(x.shape[:-1]):
        r = weight @ x[place]
        r = np.where(r > 0, r, 0.01 * r)
        r *= np.linalg.norm(x[place]) / np.linalg.norm(r)
        result[place] = 0.1 * r + 0.9 * x[place]
    return result


def exact_encoder(**vision: Any) -> LoadedEncoder:
    """The tiny encoder in float64; both towers have one block that is adapted, and more."""
    return replace(tiny_encoder(), model=tiny_clip(**vision))


def learnt(encoder: LoadedEncoder) -> AaClipAdapters:
    torch.manual_seed(4)
    adapters = AaClipAdapters(encoder, len(LAYERS)).double()
    with torch.no_grad():
        for parameter in adapters.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return adapters


def hooked(blocks: Any, weights: list[Array], seen: dict[int, torch.Tensor]) -> None:
    """Adapt the outputs of the first blocks by the plain reference, and note all outputs, from 1."""

    def adapt(number: int, output: torch.Tensor) -> torch.Tensor:
        if number < len(weights):
            output = torch.from_numpy(plain_adapter(output.detach().numpy(), weights[number]))
        seen[number + 1] = output
        return output

    for number, block in enumerate(blocks):
        block.register_forward_hook(lambda _, __, output, number=number: adapt(number, output))


def weights_of(adapters: nn.ModuleList) -> list[Array]:
    return [parameter.detach().numpy() for parameter in adapters.parameters()]


def unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def test_an_adapter_is_the_formula() -> None:
    torch.manual_seed(0)
    adapter, x = ResidualAdapter(8).double(), torch.randn(3, 5, 8, dtype=torch.float64)
    nn.init.normal_(adapter.weight)
    expected = plain_adapter(x.numpy(), adapter.weight.detach().numpy())
    assert np.abs(adapter(x).detach().numpy() - expected).max() < 1e-12


@pytest.mark.parametrize("layers", [5, 9])
def test_the_adapted_image_tower_is_open_clips_with_adapted_outputs(layers: int) -> None:
    encoder = exact_encoder(layers=layers)
    adapters = learnt(encoder)
    assert len(adapters.image) == {5: 1, 9: 2}[layers]
    images = torch.randn(2, 3, IMAGE, IMAGE, dtype=torch.float64)
    with torch.no_grad():
        found = adapted_image(encoder.visual, adapters, images, LAYERS)
    seen: dict[int, torch.Tensor] = {}
    hooked(encoder.visual.transformer.resblocks, weights_of(adapters.image), seen)
    with torch.no_grad():
        cls = unit(encoder.visual(images).numpy())
        normed = [encoder.visual.ln_post(seen[layer][:, 1:]).numpy() for layer in LAYERS]
    assert np.abs(found.cls.numpy() - cls).max() < 1e-10
    for level, tokens, projection in zip(found.patches, normed, adapters.image_projections, strict=True):
        assert np.abs(level.numpy() - unit(tokens @ projection.detach().numpy())).max() < 1e-10


def test_an_anchor_is_the_mean_of_the_adapted_text_towers_embeddings() -> None:
    encoder = exact_encoder()
    adapters = learnt(encoder)
    normal, anomalous = anchor_sentences(load_library().category("rail"))
    assert normal[:2] == ("a photo of a rail.", "a photo of a flawless rail.")
    assert anomalous[0] == "a photo of a damaged rail."
    tokens = encoder.tokenizer([*normal, *anomalous])
    with torch.no_grad():
        found = adapted_anchor(encoder.model, adapters, tokens).numpy()
    clip: Any = encoder.model
    hooked(clip.transformer.resblocks, weights_of(adapters.text), {})
    with torch.no_grad():
        texts = clip.encode_text(tokens).numpy() @ adapters.text_projection.detach().numpy()
    assert np.abs(found - unit(unit(texts).mean(0))).max() < 1e-10


def test_fresh_adapters_are_near_the_encoder_and_hold_none_of_its_weights() -> None:
    encoder = exact_encoder()
    adapters = AaClipAdapters(encoder, len(LAYERS))
    sizes = {name: tuple(parameter.shape) for name, parameter in adapters.named_parameters()}
    assert sizes == {
        "text.0.weight": (16, 16),
        "text_projection": (DIM, DIM),
        "image.0.weight": (WIDTH, WIDTH),
        "image_projections.0": (WIDTH, DIM),
        "image_projections.1": (WIDTH, DIM),
    }
    tokens = encoder.tokenizer(["a photo of a rail.", "a photo of a damaged rail."])
    with torch.no_grad():
        own = encoder.encode_text(tokens).mean(0)
        found = adapted_anchor(encoder.model, adapters.double(), tokens)
    assert torch.cosine_similarity(own, found, dim=0) > 0.95


def test_a_text_tower_that_is_not_clips_is_refused() -> None:
    class Other(nn.Module):
        visual = None

    with pytest.raises(UserError, match="AA-CLIP can't adapt tiny"):
        require_text_blocks(replace(tiny_encoder(), model=Other()))
