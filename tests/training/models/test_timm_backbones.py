"""Backbones of timm: shapes, keys, equal features, what learns and what is frozen."""

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from cluster.errors import UserError
from pipelines.banks import LITE0_NAME, has_lite0
from pipelines.banks.weights import lite0_file
from training.models.backbones.base import Backbone, Stage, build, published_backbone
from training.models.names import backbone_names, canonical

# The smallest of each kind: plain CNN, inverted residuals, ConvNeXt, Swin, ViT, ViT with rotary positions,
# attention at a fixed size.
SMALL = [
    "resnet18",
    "mobilenetv3_small_050",
    "convnext_atto",
    "swin_tiny_patch4_window7_224",
    "vit_tiny_patch16_224",
    "vit_small_patch16_dinov3",
    "maxvit_rmlp_pico_rw_256",
]


def features(backbone: Backbone, image: Tensor) -> list[Tensor]:
    """Its maps in eval mode, without gradients."""
    backbone.eval()
    with torch.no_grad():
        found: list[Tensor] = backbone(image)
    return found


def config_of(name: str) -> Any:
    """What timm says of the model's pretraining."""
    return timm.models.get_pretrained_cfg(name)


def timm_twin(backbone: Backbone, name: str, **options: Any) -> Any:
    """timm's own model with the weights that the backbone hands out, every key taken."""
    twin = timm.create_model(name, num_classes=0, **options)
    twin.load_state_dict(backbone.library_state_dict())
    return twin.eval()


@pytest.mark.parametrize(
    ("name", "channels", "family"),
    [
        ("resnet18", (64, 128, 256, 512), "cnn"),
        ("resnet50", (256, 512, 1024, 2048), "cnn"),
        ("swin_base_patch4_window7_224", (128, 256, 512, 1024), "vit"),
        ("convnext_tiny.fb_in1k", (96, 192, 384, 768), "cnn"),
        ("convnext_tiny.dinov3_lvd1689m", (96, 192, 384, 768), "cnn"),
    ],
)
def test_the_listed_models(name: str, channels: tuple[int, ...], family: str) -> None:
    assert name in backbone_names()
    backbone = build(name)
    assert backbone.stages == tuple(map(Stage, (4, 8, 16, 32), channels))
    assert backbone.family == family
    config = config_of(name)
    assert (backbone.mean, backbone.std) == (config.mean, config.std)
    maps = features(backbone, torch.rand(1, 3, 64, 96))
    assert [tuple(x.shape) for x in maps] == [
        (1, count, 64 // stride, 96 // stride) for stride, count in backbone.stages
    ]


@pytest.mark.parametrize("name", SMALL)
def test_features_are_those_of_timm(name: str) -> None:
    torch.manual_seed(0)
    backbone = build(name)
    side = config_of(name).input_size[-1] if backbone.family == "vit" else 64
    image = torch.rand(2, 3, side, side)
    backbone.train()
    backbone(image)  # batch norms of its own
    twin = timm_twin(backbone, name)
    own = features(backbone, image)
    with torch.no_grad():
        theirs = twin.forward_intermediates(image, intermediates_only=True)
    assert len(own) == len(backbone.stages)
    for x, stage in zip(own, backbone.stages, strict=True):
        assert x.shape == (2, stage.channels, side // stage.stride, side // stage.stride)
        assert any(torch.equal(x, other) for other in theirs)
    assert torch.equal(own[-1], theirs[-1])


@pytest.mark.parametrize("side", [192, 224, 320])
def test_swin_takes_other_sizes_as_timm_does(side: int) -> None:
    torch.manual_seed(0)
    name = "swin_tiny_patch4_window7_224"
    backbone = build(name)
    twin = timm_twin(backbone, name, strict_img_size=False)
    image = torch.rand(1, 3, side, side)
    last = features(backbone, image)[-1]
    with torch.no_grad():
        whole = twin.norm(last.permute(0, 2, 3, 1))
        assert torch.equal(whole, twin.forward_features(image))
    backbone.check_size(side)


@pytest.mark.parametrize("name", SMALL)
def test_every_stage_learns_all_it_is_made_of_and_nothing_else(name: str) -> None:
    """By gradients, which know nothing of how the adapter finds a stage's parameters."""
    backbone = build(name).eval()
    side = backbone.fixed_size or 2 * backbone.size_multiple
    maps = backbone(torch.rand(1, 3, side, side))
    learning = {key for key, parameter in backbone.named_parameters() if parameter.requires_grad}
    named = {id(parameter): key for key, parameter in backbone.named_parameters()}
    for stages, x in enumerate(maps, start=1):
        backbone.zero_grad()
        (x * torch.rand_like(x)).sum().backward(retain_graph=True)
        reached = {key for key, parameter in backbone.named_parameters() if parameter.grad is not None}
        assert reached == {named[id(parameter)] for parameter in backbone.stage_parameters(stages)}
    assert reached == learning


def steps(backbone: Backbone, count: int = 3) -> None:
    """Train everything that may learn, hard."""
    learning = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=0.1, weight_decay=0.1) if learning else None
    side = backbone.fixed_size or 64
    for _ in range(count):
        loss = torch.stack([x.square().mean() for x in backbone(torch.rand(2, 3, side, side))]).sum()
        if optimizer is not None:
            torch.autograd.backward(loss)
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.parametrize("name", SMALL)
def test_frozen_stages_stay_bit_by_bit(name: str) -> None:
    torch.manual_seed(0)
    backbone = build(name)
    side = backbone.fixed_size or 64
    image = torch.rand(1, 3, side, side)
    backbone.freeze(2)

    before, state = features(backbone, image), {key: x.clone() for key, x in backbone.state_dict().items()}
    backbone.train()
    steps(backbone)
    after = features(backbone, image)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert not torch.equal(before[2], after[2])
    assert not torch.equal(before[3], after[3])
    changed = {key for key, x in backbone.state_dict().items() if not torch.equal(x, state[key])}
    frozen = {id(parameter) for parameter in backbone.stage_parameters(2)}
    for key, module in backbone.named_modules():
        own = dict(module.named_parameters(recurse=False))
        entries = {f"{key}.{entry}" for entry in (*own, *dict(module.named_buffers(recurse=False)))}
        if own and all(id(parameter) in frozen for parameter in own.values()):
            assert not entries & changed  # weights, and the statistics beside them
        elif isinstance(module, nn.BatchNorm2d) and own and all(p.requires_grad for p in own.values()):
            assert f"{key}.running_mean" in changed


def test_all_frozen_and_none() -> None:
    backbone = build("resnet18")
    state = {key: x.clone() for key, x in backbone.state_dict().items()}
    backbone.freeze(4)
    backbone.train()
    steps(backbone)
    assert all(torch.equal(x, state[key]) for key, x in backbone.state_dict().items())
    free = build("resnet18")
    free.freeze(0)
    assert all(parameter.requires_grad for parameter in free.parameters())
    with pytest.raises(UserError, match="resnet18 has 4 stages"):
        free.freeze(5)


def test_any_name_of_timm_and_of_its_hub() -> None:
    assert canonical("timm/convnext_tiny.dinov3_lvd1689m") == "convnext_tiny.dinov3_lvd1689m"
    assert canonical("mobilenetv3_small_050") == "mobilenetv3_small_050"
    assert build("timm/resnet18.a1_in1k").name == "resnet18.a1_in1k"
    for wrong in ("resnet", "resnet18.no_such_tag", "hf-hub:timm/resnet18", "timm/", "", "local-dir:/etc"):
        with pytest.raises(UserError, match="There is no backbone"):
            canonical(wrong)
    with pytest.raises(UserError, match='did you mean "resnet18"'):
        canonical("resnet81")


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="resnet18 takes images of multiples of 32 px, not 100"):
        build("resnet18").check_size(100)
    fixed = build("maxvit_rmlp_pico_rw_256")
    fixed.check_size(256)
    with pytest.raises(UserError, match="takes images of 256 px alone, not 224"):
        fixed.check_size(224)


@pytest.mark.skipif(not has_lite0(), reason="the extra features is not installed")
def test_the_package_of_imagenet_features_is_a_start_without_a_network() -> None:
    state = published_backbone(LITE0_NAME, "imagenet")
    backbone = build(LITE0_NAME)
    backbone.library.load_state_dict(state)
    assert (backbone.mean, backbone.std) == ((0.5,) * 3, (0.5,) * 3)
    published = list(torch.load(lite0_file(), weights_only=True).values())
    assert len(state) == len(published) - 2  # without the classifier's, which are last
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(state.values(), published, strict=False))
