"""Trained map methods on a tiny encoder: their maps are their heads', plainly computed from the blocks."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.heads.adapters import AaClipAdapters, adapted_image
from pipelines.heads.features import HeadFeatures, patch_identity, stage_widths
from pipelines.heads.file import HEAD_FILE, HeadRecord, save_head
from pipelines.heads.network import FusedHead, PromptPair, StageLinears
from pipelines.maps.build import method_over
from pipelines.maps.kead import KeAD
from pipelines.maps.method import CategoryState
from pipelines.maps.section import KeadSettings, MapsSection
from tests.pipelines.tiny_encoder import DIM, tiny_encoder

LAYERS = (2, 5)
Array = npt.NDArray[np.float64]


def pixels(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 3, 24, 24), np.uint8))


def section_of(folder: Path, method: Any, head: nn.Module, features: dict[str, Any], **options: Any) -> Any:
    save_head(
        Storage.open(str(folder)),
        HEAD_FILE,
        head.state_dict(),
        HeadRecord(method=method, features=features, lineage={}),
    )
    options["head"] = str(folder / HEAD_FILE)
    return MapsSection.model_validate({"method": method, method: options})


def blocks_of(images: torch.Tensor) -> tuple[Array, list[Array]]:
    """The image embedding and the patch tokens after each block of `LAYERS`, by hooks on the whole tower."""
    encoder = tiny_encoder()
    seen: dict[int, torch.Tensor] = {}
    for number, block in enumerate(encoder.visual.transformer.resblocks, 1):
        block.register_forward_hook(lambda _, __, output, number=number: seen.update({number: output}))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (encoder.mean, encoder.std))
    with torch.no_grad():
        embedding = encoder.visual((images.float() / 255 - mean) / std)
    return unit(embedding.double().numpy()), [seen[layer][:, 1:].double().numpy() for layer in LAYERS]


def unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def probability(embeddings: Array, state: CategoryState, tau: float) -> Array:
    direction = (state.t_a - state.t_n).double().numpy()
    return np.asarray(1 / (1 + np.exp(-(embeddings @ direction) / tau)))


@pytest.mark.parametrize("shots", [0, 2])
def test_april_gans_maps_are_the_mean_of_its_stages_and_references_add_their_distance(
    shots: int, tmp_path: Path
) -> None:
    encoder, tau = tiny_encoder(), 0.1
    torch.manual_seed(1)
    head = StageLinears(*stage_widths(encoder, 2))
    features = patch_identity(encoder, LAYERS, tau)
    section = section_of(tmp_path, "aprilgan", head, features, layers=LAYERS, temperature=tau, shots=shots)
    method = method_over(encoder, section)
    references = pixels(2, 7)
    state = method.category_state(section.library().category("rail"), references if shots else None)
    images = pixels(3)
    output = method(images, [state] * 3)
    embedding, levels = blocks_of(images)
    stages = []
    for layer, tokens in zip(head.stages, levels, strict=True):
        assert isinstance(layer, nn.Linear)
        weight, bias = (part.detach().double().numpy() for part in (layer.weight, layer.bias))
        stages.append(probability(unit(tokens @ weight.T + bias), state, tau))
    expected, score = np.mean(stages, 0), probability(embedding, state, tau)
    if shots:
        _, banks = blocks_of(references)
        few = np.mean(
            [
                (0.5 * (1 - unit(tokens) @ unit(bank.reshape(-1, bank.shape[-1])).T)).min(-1)
                for tokens, bank in zip(levels, banks, strict=True)
            ],
            0,
        )
        expected, score = expected + few, score + few.max(-1)
    assert np.abs(output.maps.flatten(1).numpy() - expected).max() < 1e-4
    assert np.abs(output.score.numpy() - score).max() < 1e-4


def test_anomalyclips_maps_are_keads_with_the_learnt_embeddings(tmp_path: Path) -> None:
    encoder = tiny_encoder()
    torch.manual_seed(2)
    pair = PromptPair(DIM)
    pair.t_n, pair.t_a = (nn.functional.normalize(torch.randn(DIM), dim=0) for _ in range(2))
    features = patch_identity(encoder, LAYERS, 0.07)
    section = section_of(tmp_path, "anomalyclip", pair, features, layers=LAYERS)
    method = method_over(encoder, section)
    images = pixels(3)
    output = method(images, [method.category_state(section.library().category("rail"), None)] * 3)
    kead = KeAD(encoder, KeadSettings(shots=0, layers=LAYERS))
    expected = kead(images, [CategoryState(pair.t_n, pair.t_a, ())] * 3)
    assert torch.allclose(output.maps, expected.maps, atol=1e-6)
    assert torch.allclose(output.score, expected.image_text_score, atol=1e-6)


def test_aaclips_maps_are_the_mean_of_its_adapted_levels(tmp_path: Path) -> None:
    encoder, tau = tiny_encoder(), 0.1
    torch.manual_seed(4)
    head = AaClipAdapters(encoder, 2)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    features = patch_identity(encoder, LAYERS, tau)
    section = section_of(tmp_path, "aaclip", head, features, layers=LAYERS, temperature=tau)
    method = method_over(encoder, section)
    rail, casting = (
        method.category_state(section.library().category(name), None) for name in ("rail", "casting")
    )
    images = pixels(3)
    output = method(images, [rail, casting, rail])
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (encoder.mean, encoder.std))
    with torch.no_grad():
        embedded = adapted_image(encoder.visual, head, (images.float() / 255 - mean) / std, LAYERS)
    for row, state in enumerate((rail, casting, rail)):
        levels = [probability(level[row].double().numpy(), state, tau) for level in embedded.patches]
        assert np.abs(output.maps[row].flatten().numpy() - np.mean(levels, 0)).max() < 1e-4
        score = probability(embedded.cls[row].double().numpy(), state, tau)
        assert abs(output.score[row].item() - float(score)) < 1e-4
    assert not rail.t_a.equal(casting.t_a)


@pytest.mark.parametrize("top", [0.0, 0.5])
def test_painted_maps_are_the_heads_probabilities_and_the_score_their_highest(
    top: float, tmp_path: Path
) -> None:
    encoder = tiny_encoder()
    empty = MapsSection(method="painted").painted
    features = HeadFeatures(empty, encoder)
    torch.manual_seed(3)
    head = FusedHead(features.channels, features.grids)
    section = section_of(tmp_path, "painted", head, features.identity, top=top)
    method = method_over(encoder, section)
    images = pixels(3)
    state = method.category_state(section.library().category("rail"), None)
    output = method(images, [state] * 3)
    with torch.no_grad():
        expected = head.eval()(features(images)).sigmoid()[:, 0]
    assert torch.allclose(output.maps, expected, atol=1e-5)
    ordered = expected.flatten(1).sort(1).values
    count = max(1, round(top * ordered.shape[1]))
    assert torch.allclose(output.score, ordered[:, -count:].mean(1), atol=1e-5)


def test_a_head_of_another_encoder_is_refused(tmp_path: Path) -> None:
    encoder = tiny_encoder()
    head = StageLinears(*stage_widths(encoder, 2))
    features = {**patch_identity(encoder, LAYERS, 0.01), "encoder": "sha256:another"}
    section = section_of(tmp_path, "aprilgan", head, features, layers=LAYERS)
    with pytest.raises(UserError, match="was trained on other features \\(encoder sha256:another"):
        method_over(encoder, section)
