"""SLF-YOLO's blocks against their formulas, and its layers against the published list."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cluster.errors import UserError
from training.models.detectors.base import Detector, build_detector
from training.models.detectors.published import published_weights
from training.models.detectors.slf_yolo import GSConv, ScaleSequence, StarBlock, VoVGSCSP, ZoomConcat
from training.models.letterbox import Preprocessing

# Of the published YAML, whose sources count from the layer itself where they are negative.
SOURCES = {
    11: 4,
    12: [-1, 6, -2],
    15: 2,
    16: [-1, 4, -2],
    19: [-1, 14],
    22: [-1, 10],
    24: [4, 6, 8],
    25: [17, -1],
    26: [25, 20, 23],
}


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return build_detector("slf-yolo-n", ("crack", "fray"), Preprocessing(64, "square")).eval()


def lively(block: nn.Module) -> nn.Module:
    """The block in eval mode, with norms far from the identity."""
    torch.manual_seed(0)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    return block.eval().double()


def normed(x: Tensor, norm: Any) -> Tensor:
    mean, var = norm.running_mean, norm.running_var
    per_channel = [each[:, None, None] for each in (mean, var, norm.weight, norm.bias)]
    scaled: Tensor = (x - per_channel[0]) / (per_channel[1] + norm.eps).sqrt() * per_channel[2] + per_channel[
        3
    ]
    return scaled


def one_by_one(x: Tensor, layer: Any) -> Tensor:
    mixed = torch.einsum("oc,bchw->bohw", layer.weight[:, :, 0, 0], x)
    biased: Tensor = mixed if layer.bias is None else mixed + layer.bias[:, None, None]
    return biased


def test_a_star_block_is_its_formula() -> None:
    block: Any = lively(StarBlock(6))
    x = torch.randn(2, 6, 9, 8, dtype=torch.float64)
    seen = normed(F.conv2d(x, block.before.conv.weight, padding=3, groups=6), block.before.bn)
    star = one_by_one(seen, block.left).clamp(0, 6) * one_by_one(seen, block.right)
    narrow = normed(one_by_one(star, block.narrow.conv), block.narrow.bn)
    after = F.conv2d(narrow, block.after.weight, block.after.bias, padding=3, groups=6)
    both = one_by_one(after, block.glu.split)
    gate = F.conv2d(both[:, :4], block.glu.depthwise.weight, block.glu.depthwise.bias, padding=1, groups=4)
    gated = gate / 2 * (1 + torch.erf(gate / 2**0.5)) * both[:, 4:]
    assert torch.allclose(block(x), x + after + one_by_one(gated, block.glu.join))


def test_a_light_convolution_gives_even_channels_before_odd_ones() -> None:
    block: Any = lively(GSConv(4, 8, 3, 2))
    x = torch.randn(2, 4, 8, 6, dtype=torch.float64)
    dense = F.silu(normed(F.conv2d(x, block.dense.conv.weight, stride=2, padding=1), block.dense.bn))
    deep = F.conv2d(dense, block.depthwise.conv.weight, padding=2, groups=4)
    both = torch.cat([dense, F.silu(normed(deep, block.depthwise.bn))], 1)
    assert torch.allclose(block(x), both[:, [0, 2, 4, 6, 1, 3, 5, 7]])


def test_scales_are_joined_at_the_middle_ones_size() -> None:
    fine, middle, coarse = (
        torch.randn(1, channels, side, side) for channels, side in ((2, 8), (3, 4), (1, 2))
    )
    joined = ZoomConcat()([fine, middle, coarse])
    cell = fine[0, 1, 2:4, 6:8]
    assert joined.shape == (1, 6, 4, 4)
    assert joined[0, 1, 1, 3] == cell.max() + cell.mean()
    assert joined[:, 2:5].equal(middle)
    assert joined[0, 5, 3, 1] == coarse[0, 0, 1, 0]


def test_a_sequence_of_scales_is_a_3d_convolution_whose_strongest_scale_is_kept() -> None:
    block: Any = lively(ScaleSequence((4, 6, 8), 4))
    maps = [
        torch.randn(2, channels, side, side, dtype=torch.float64)
        for channels, side in ((4, 8), (6, 4), (8, 2))
    ]
    volume = nn.Conv3d(4, 4, 1, bias=False).double()
    volume.weight.data = block.mix.conv.weight[..., None]
    norm = nn.BatchNorm3d(4, eps=block.mix.bn.eps).double().eval()
    norm.load_state_dict(block.mix.bn.state_dict())
    grown = [F.interpolate(block.project[i](maps[i + 1]), scale_factor=2 ** (i + 1)) for i in (0, 1)]
    stacked = torch.stack([maps[0], *grown], 2)
    expected = F.max_pool3d(F.leaky_relu(norm(volume(stacked)), 0.1), (3, 1, 1))[:, :, 0]
    assert torch.allclose(block(maps), expected)


def test_the_layers_are_read_as_published(detector: Detector) -> None:
    network: Any = detector
    layers: list[Any] = list(network.model)
    assert len(layers) == 27
    assert {layer.i: layer.f for layer in layers if layer.f != -1} == SOURCES
    assert [type(layer).__name__ for layer in layers[2:9:2]] == ["StarC2f"] * 4
    assert [len(layer.blocks) for layer in layers[2:9:2]] == [1, 2, 2, 1]
    assert [layer.i for layer in layers if isinstance(layer, VoVGSCSP)] == [13, 17, 20, 23]
    outputs: list[Tensor] = []
    x: Any = torch.rand(1, 3, 64, 96)
    for layer in layers[:-1]:
        sources = [layer.f] if isinstance(layer.f, int) else layer.f
        read = [outputs[layer.i + each if each < 0 else each] if outputs else x for each in sources]
        outputs.append(layer(read[0] if isinstance(layer.f, int) else read))
    for found, index in zip(network.features(x), (25, 20, 23), strict=True):
        assert found.equal(outputs[index])
    assert [tuple(outputs[index].shape[1:]) for index in (25, 20, 23)] == [
        (64, 8, 12),
        (128, 4, 6),
        (256, 2, 3),
    ]


def test_it_is_as_large_as_the_published_network() -> None:
    detector = build_detector("slf-yolo", tuple("abcdef"), Preprocessing(64, "square"))
    unused = sum(9 * half**2 + 2 * half for half in (128, 64, 128, 256))  # a convolution of each VoV-GSCSP
    needless = 128  # biases before a norm
    assert sum(each.numel() for each in detector.parameters()) + unused + needless == 9_666_942


def test_there_are_no_published_weights() -> None:
    with pytest.raises(UserError, match="slf-yolo has no published coco weights; take scratch"):
        published_weights("slf-yolo", "coco")
