"""Layers of heads against plain numpy; files that are no heads are refused in a sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file

from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.encoder.blocks import block_outputs, chosen_blocks
from pipelines.heads.file import (
    HEAD_FILE,
    HeadRecord,
    fill,
    head_digest,
    read_head,
    require_features,
    save_head,
)
from pipelines.heads.network import FusedHead, StageLinears
from tests.pipelines.tiny_encoder import LAYERS, tiny_encoder

Array = npt.NDArray[np.float64]
RECORD = HeadRecord(
    method="aprilgan", features={"encoder": "sha256:0", "layers": [1, 2]}, lineage={"corpus": "c"}
)


def unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def test_april_gans_probability_is_the_softmax_over_both_cosines() -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    head, tau = StageLinears([5, 7], 4), 0.05
    levels = [torch.tensor(rng.normal(size=(2, width, 3, 3)), dtype=torch.float32) for width in (5, 7)]
    t_n, t_a = (unit(rng.normal(size=(2, 4))) for _ in range(2))
    tensors = (torch.tensor(side, dtype=torch.float32) for side in (t_n, t_a))
    probability = head(levels, *tensors, tau).sigmoid().detach().numpy()
    for stage, (layer, level) in enumerate(zip(head.stages, levels, strict=True)):
        assert isinstance(layer, torch.nn.Linear)
        weight, bias = (part.detach().numpy() for part in (layer.weight, layer.bias))
        tokens = unit(level.numpy().transpose(0, 2, 3, 1) @ weight.T + bias)
        both = np.stack([(tokens * side[:, None, None]).sum(-1) / tau for side in (t_n, t_a)], -1)
        exponents = np.exp(both - both.max(-1, keepdims=True))
        expected = exponents[..., 1] / exponents.sum(-1)
        assert np.abs(probability[:, stage] - expected).max() < 1e-4


def test_a_fused_head_sums_its_levels_on_the_finest_grid() -> None:
    torch.manual_seed(0)
    head = FusedHead([3, 2], [8, 4]).eval()
    fine, coarse = torch.randn(2, 3, 8, 8), torch.randn(2, 2, 4, 4)
    logits = head([fine, coarse])
    assert logits.shape == (2, 1, 8, 8)
    with torch.no_grad():
        first, second = (
            layer(scale(one))
            for one, scale, layer in zip((fine, coarse), head.scales, head.levels, strict=True)
        )
        larger = torch.nn.functional.interpolate(second, (8, 8), mode="bilinear", align_corners=False)
        assert torch.allclose(head.logit(head.joint(first + larger)), logits, atol=1e-5)


def test_block_outputs_are_those_of_the_towers_own_blocks() -> None:
    visual = tiny_encoder().visual
    seen: dict[int, torch.Tensor] = {}
    hooks = [
        block.register_forward_hook(lambda _, __, output, number=number: seen.update({number: output}))
        for number, block in enumerate(visual.transformer.resblocks, 1)
    ]
    images = torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        embedding = torch.nn.functional.normalize(visual(images), dim=-1)
        expected = dict(seen)
        outputs = block_outputs(visual, images, (2, LAYERS))
    for hook in hooks:
        hook.remove()
    assert torch.allclose(outputs.cls, embedding, atol=1e-5)
    for layer, patches in zip((2, LAYERS), outputs.patches, strict=True):
        assert torch.allclose(patches, expected[layer][:, 1:], atol=1e-5)
    with pytest.raises(UserError, match="must name blocks from 1 to 5"):
        chosen_blocks(visual, (6,))


def test_a_head_comes_back_from_its_file(tmp_path: Path) -> None:
    head, other = StageLinears([5, 7], 4), StageLinears([5, 7], 4)
    save_head(Storage.open(str(tmp_path)), HEAD_FILE, head.state_dict(), RECORD)
    location = str(tmp_path / HEAD_FILE)
    record, state = read_head(location, "aprilgan")
    fill(location, other, state)
    assert record == RECORD
    assert all(torch.equal(head.state_dict()[key], value) for key, value in other.state_dict().items())
    assert head_digest(location).startswith("sha256:")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not a complete safetensors file"),
        (b"\xff" * 64, "is not a complete safetensors file"),
        ({}, "does not say what it was trained for"),
        ({"agssp": "[" * 100_000}, "does not say what it was trained for"),
        ({"agssp": '{"method": "kead", "features": {}, "lineage": {}}'}, "does not say what it was trained"),
        ({"agssp": '{"method": "painted", "features": {}, "lineage": {}}'}, "is of maps.method=painted"),
    ],
)
def test_files_that_are_no_heads_are_refused(content: Any, told: str, tmp_path: Path) -> None:
    file = tmp_path / "h.safetensors"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        save_file({"a": torch.zeros(1)}, file, metadata=content)
    with pytest.raises(UserError, match=told):
        read_head(str(file), "aprilgan")


def test_absent_heads_other_features_other_shapes_and_nan_are_refused(tmp_path: Path) -> None:
    location = str(tmp_path / HEAD_FILE)
    for absent in (location, str(tmp_path), "nowhere/"):
        with pytest.raises(UserError, match="There is no head at"):
            head_digest(absent)
    head = StageLinears([5, 7], 4)
    with pytest.raises(UserError, match=r"layers \[1, 2\] in the file, \[1\] in the config"):
        require_features(location, RECORD, {"encoder": "sha256:0", "layers": [1]})
    with pytest.raises(UserError, match="does not fit these features"):
        fill(location, StageLinears([5, 8], 4), head.state_dict())
    state = {**head.state_dict(), "stages.0.bias": torch.full((4,), float("nan"))}
    save_head(Storage.open(str(tmp_path)), HEAD_FILE, state, RECORD)
    with pytest.raises(UserError, match="holds NaN or infinite values"):
        read_head(location, "aprilgan")
