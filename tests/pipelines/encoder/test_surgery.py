"""V-V attention and the dense path against explicit loops; the image path against open_clip itself."""

from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import pytest
import torch

from cluster.errors import UserError
from pipelines.encoder.surgery import DenseEncoder, attend, default_layers, project
from tests.pipelines.tiny_encoder import HEADS, IMAGE, tiny_clip

Array = npt.NDArray[np.float64]


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy()


def loop_layer_norm(norm: torch.nn.LayerNorm, tokens: Array) -> Array:
    out = np.empty_like(tokens)
    for row, token in enumerate(tokens):
        variance = np.mean((token - token.mean()) ** 2)
        out[row] = (token - token.mean()) / np.sqrt(variance + norm.eps)
    return out * array(norm.weight) + array(norm.bias)


def loop_vv(attention: torch.nn.MultiheadAttention, tokens: Array) -> Array:
    """`out_proj(softmax(V Vᵀ/√d) V)`, one head, one query, one key at a time."""
    count, width = tokens.shape
    weight, bias = array(attention.in_proj_weight), array(attention.in_proj_bias)
    value = tokens @ weight[2 * width :].T + bias[2 * width :]
    depth = width // attention.num_heads
    mixed = np.zeros((count, width))
    for head in range(attention.num_heads):
        part = value[:, head * depth : (head + 1) * depth]
        for query in range(count):
            logits = np.array([part[query] @ part[key] / np.sqrt(depth) for key in range(count)])
            weights = np.exp(logits - logits.max())
            weights /= weights.sum()
            for key in range(count):
                mixed[query, head * depth : (head + 1) * depth] += weights[key] * part[key]
    return mixed @ array(attention.out_proj.weight).T + array(attention.out_proj.bias)


def loop_patches(
    model: open_clip.CLIP, image: torch.Tensor, layers: tuple[int, ...], *, residual: bool, released: bool
) -> list[Array]:
    """Patch embeddings of one image: the dense path of docs/method.md#v-v-attention, written out."""
    visual = model.visual
    blocks = visual.transformer.resblocks
    first = len(blocks) - -(-3 * len(blocks) // 4) + 1  # the last ⌈3n/4⌉ blocks
    x = visual._embeds(image[None])
    per_layer: dict[int, Array] = {}
    y = np.zeros(())
    for number, block in enumerate(blocks, start=1):
        if number >= first:
            tokens = array(x[0])
            attended = loop_vv(block.attn, loop_layer_norm(block.ln_1, tokens))
            if hasattr(block.ls_1, "gamma"):
                attended = attended * array(block.ls_1.gamma)
            before = tokens if number == first else y
            y = before + attended if residual else attended
        x = block(x)
        per_layer[number] = y if number >= first else array(x[0])
    final = y
    out = []
    for layer in layers:
        tokens = final if released and residual and layer >= first else per_layer[layer]
        embedded = loop_layer_norm(visual.ln_post, tokens[1:]) @ array(visual.proj)
        out.append(embedded / np.linalg.norm(embedded, axis=1, keepdims=True))
    return out


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, IMAGE, IMAGE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def test_vv_attention_equals_loops() -> None:
    attention = tiny_clip().visual.transformer.resblocks[1].attn
    assert attention.num_heads == HEADS
    tokens = torch.randn(1, 6, attention.embed_dim, dtype=torch.float64)
    np.testing.assert_allclose(
        array(attend(attention, *[project(attention, tokens)[2]] * 3)[0]),
        loop_vv(attention, array(tokens[0])),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"residual": False}, {"released_layers": True}, {"residual": False, "released_layers": True}],
)
@pytest.mark.parametrize(
    ("layers", "vision"),
    [(5, {}), (4, {"ls_init_value": 0.1}), (8, {"pool_type": "avg", "final_ln_after_pool": True})],
)
def test_dense_path_equals_loops(
    images: torch.Tensor, options: dict[str, bool], layers: int, vision: dict[str, Any]
) -> None:
    model = tiny_clip(layers, **vision)
    dense = DenseEncoder(model.visual, **options)  # type: ignore[arg-type]
    embedded = dense(images)
    for row in range(len(images)):
        reference = loop_patches(
            model,
            images[row],
            dense.layers,
            residual=options.get("residual", True),
            released=options.get("released_layers", False),
        )
        for layer, expected in zip(embedded.patches, reference, strict=True):
            np.testing.assert_allclose(array(layer[row]), expected, atol=1e-10)


@pytest.mark.parametrize("vision", [{}, {"pool_type": "avg"}, {"no_ln_pre": True}, {"ls_init_value": 0.1}])
def test_cls_is_the_untouched_image_embedding(images: torch.Tensor, vision: dict[str, Any]) -> None:
    model = tiny_clip(**vision)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = model.encode_image(images, normalize=True)
    dense = DenseEncoder(model.visual)
    torch.testing.assert_close(dense(images).cls, expected, atol=1e-12, rtol=0)
    assert dense.grid == 3
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    torch.testing.assert_close(model.encode_image(images, normalize=True), expected, atol=0, rtol=0)


def test_quick_gelu_model_keeps_its_image_embedding(images: torch.Tensor) -> None:
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    vision = {"image_size": IMAGE, "layers": 4, "width": 32, "head_width": 8, "patch_size": 8}
    model = open_clip.CLIP(16, vision, text, quick_gelu=True).double().eval()
    torch.testing.assert_close(
        DenseEncoder(model.visual)(images).cls, model.encode_image(images, normalize=True), atol=1e-12, rtol=0
    )


def test_layer_before_surgery_is_the_normal_path(images: torch.Tensor) -> None:
    model = tiny_clip(8)
    dense = DenseEncoder(model.visual)
    assert (dense.layers, dense.first_surgery) == ((2, 4, 6, 8), 3)
    _, blocks = model.visual.transformer.forward_intermediates(model.visual._embeds(images))
    expected = torch.nn.functional.normalize(
        model.visual.ln_post(blocks[1][:, 1:]) @ model.visual.proj, dim=-1
    )
    torch.testing.assert_close(dense(images).patches[0], expected)
    plain = DenseEncoder(model.visual, vv=False)(images)
    for layer, patches in zip(dense.layers, plain.patches, strict=True):
        expected = torch.nn.functional.normalize(
            model.visual.ln_post(blocks[layer - 1][:, 1:]) @ model.visual.proj, dim=-1
        )
        torch.testing.assert_close(patches, expected)


def test_released_layers_repeat_the_last_one(images: torch.Tensor) -> None:
    model = tiny_clip(8)
    own, released = (
        DenseEncoder(model.visual)(images),
        DenseEncoder(model.visual, released_layers=True)(images),
    )
    assert torch.equal(own.patches[0], released.patches[0])
    assert all(torch.equal(layer, own.patches[-1]) for layer in released.patches[1:])
    assert not torch.equal(own.patches[1], own.patches[2])


def test_released_layers_without_the_residual_are_each_their_own(images: torch.Tensor) -> None:
    model = tiny_clip(8)
    own, released = (
        DenseEncoder(model.visual, residual=False, released_layers=value)(images) for value in (False, True)
    )
    assert all(map(torch.equal, own.patches, released.patches))
    assert not torch.equal(released.patches[1], released.patches[2])


@pytest.mark.parametrize(
    ("depth", "layers", "surgery_blocks"),
    [(12, (3, 6, 9, 12), 9), (24, (6, 12, 18, 24), 18), (32, (8, 16, 24, 32), 24), (6, (2, 3, 5, 6), 5)],
)
def test_defaults_by_depth(depth: int, layers: tuple[int, ...], surgery_blocks: int) -> None:
    assert default_layers(depth) == layers
    assert depth - (depth // 4 + 1) + 1 == surgery_blocks


@pytest.mark.parametrize("layers", [(0,), (6,), ()])
def test_layers_the_model_lacks_are_refused(layers: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="from 1 to 5"):
        DenseEncoder(tiny_clip().visual, layers=layers)


@pytest.mark.parametrize(
    "vision",
    [
        {"attentional_pool": True},
        {"pool_type": "none"},
        {"qk_norm": True},
        {"layers": [1, 1, 1, 1], "width": 8},
        {"image_size": [24, 32]},
    ],
)
def test_towers_without_patch_embeddings_are_refused(vision: dict[str, Any]) -> None:
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    base = {"image_size": IMAGE, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8}
    model = open_clip.CLIP(16, base | vision, text)
    with pytest.raises(UserError, match="choose a ViT"):
        DenseEncoder(model.visual)
