"""Pretext tasks against plainly written references: losses, momentum, masks."""

import copy
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from cluster.errors import UserError
from training.agbp.data import random_mask
from training.agbp.pretext.alone import DistillationAlone
from training.agbp.pretext.cls import Cls
from training.agbp.pretext.mocov3 import MoCoV3, contrast
from training.agbp.pretext.simmim import SimMIM, painting_loss
from training.agbp.section import MocoSection, SimmimSection
from training.models.backbones.base import Backbone, Stage, build

Array = npt.NDArray[np.float64]
EPS = 1e-5  # of batch norm


class TwoStages(Backbone):
    """Two convolutions of stride 4 and 2, without batch norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.name, self.family = "two", "cnn"
        self.stages = (Stage(4, 5), Stage(8, 6))
        self.body = nn.ModuleList([nn.Conv2d(3, 5, 4, stride=4), nn.Conv2d(5, 6, 2, stride=2)])

    @property
    def library(self) -> nn.Module:
        return self.body

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.body[0](x)
        return [first, self.body[1](first.tanh())]

    def loading(self, file: str) -> str:
        return ""

    def stage_modules(self, stages: int) -> list[nn.Module]:
        return list(self.body[:stages])


def plain(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()


def plain_contrast(queries: Array, keys: Array, temperature: float) -> float:
    """Eq. 1 of MoCo v3, times 2τ, image by image."""
    losses = []
    for own, query in enumerate(queries):
        scores = []
        for key in keys:
            cosine = sum(q * k for q, k in zip(query, key, strict=True))
            scores.append(cosine / math.sqrt(sum(query**2)) / math.sqrt(sum(key**2)) / temperature)
        losses.append(-math.log(math.exp(scores[own]) / sum(math.exp(score) for score in scores)))
    return 2 * temperature * sum(losses) / len(losses)


def plain_head(x: Array, layers: nn.Sequential) -> Array:
    """Linear, batch norm over the batch, ReLU, one after the other."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            assert [name for name, _ in layer.named_parameters()] == ["weight"]
            x = x @ plain(layer.weight).T
        elif isinstance(layer, nn.BatchNorm1d):
            x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPS)
            x = x * plain(layer.weight) + plain(layer.bias)
        else:
            assert isinstance(layer, nn.ReLU)
            x = np.maximum(x, 0)
    return x


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_contrast_is_the_equation(temperature: float) -> None:
    generator = torch.Generator().manual_seed(1)
    queries, keys = (torch.randn(5, 7, generator=generator) for _ in range(2))
    value = contrast(queries, keys, temperature).item()
    assert value == pytest.approx(plain_contrast(plain(queries), plain(keys), temperature), rel=1e-5)


def test_mocov3_is_its_algorithm() -> None:
    backbone = TwoStages()
    torch.manual_seed(2)
    task = MoCoV3(backbone, MocoSection(temperature=0.5, hidden=9, embedding=4))
    # A momentum encoder apart from the online one, as it is after some steps.
    for parameter in [*task.momentum_backbone.parameters(), *task.momentum_projector.parameters()]:
        parameter.data += 0.1 * torch.randn_like(parameter)
    images = torch.randn(10, 3, 32, 32)
    output = task(backbone, images, {}, (0, 1))

    pooled = [plain(backbone(view)[-1]).mean(axis=(2, 3)) for view in images.chunk(2)]
    slow = [plain(task.momentum_backbone(view)[-1]).mean(axis=(2, 3)) for view in images.chunk(2)]
    q1, q2 = (plain_head(plain_head(x, task.projector.layers), task.predictor.layers) for x in pooled)
    k1, k2 = (plain_head(x, task.momentum_projector.layers) for x in slow)
    expected = plain_contrast(q1, k2, 0.5) + plain_contrast(q2, k1, 0.5)
    assert output.loss.item() == pytest.approx(expected, rel=1e-4)
    # Both views are distilled from, first ones first.
    for stage, layer in enumerate(backbone(images)):
        torch.testing.assert_close(output.features[stage], layer)
    output.loss.backward()
    learning = {name for name, parameter in task.named_parameters() if parameter.grad is not None}
    assert learning == {
        f"{head}.{key}"
        for head in ("projector", "predictor")
        for key, _ in getattr(task, head).named_parameters()
    }
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_momentum_rises_along_a_cosine_and_the_encoder_follows() -> None:
    backbone = TwoStages()
    task = MoCoV3(backbone, MocoSection(momentum=0.9, hidden=8, embedding=4))
    slow = copy.deepcopy(dict(task.momentum_backbone.named_parameters()))
    for done in (1, 2, 3, 4):
        for parameter in backbone.parameters():
            parameter.data += 1
        task.stepped(backbone, done, 4)
        momentum = 1 - 0.1 * 0.5 * (1 + math.cos(math.pi * done / 4))
        for name, parameter in backbone.named_parameters():
            slow[name] = nn.Parameter(momentum * slow[name] + (1 - momentum) * parameter)
            torch.testing.assert_close(task.momentum_backbone.get_parameter(name), slow[name])
    assert momentum == 1


def test_frozen_stages_are_frozen_in_the_momentum_encoder_too() -> None:
    backbone = build("yolov8n")
    backbone.freeze(2)
    task = MoCoV3(backbone, MocoSection(hidden=8, embedding=4)).train()
    inner = [module for module in task.momentum_backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    outer = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [module.training for module in inner] == [module.training for module in outer]
    assert not inner[0].training
    assert inner[-1].training
    with pytest.raises(UserError, match="mocov3 contrasts images: it needs 2 or more"):
        task(backbone, torch.zeros(2, 3, 64, 64), {}, ())


def hidden_pixels(mask: npt.NDArray[np.bool_], patch: int) -> npt.NDArray[np.bool_]:
    return np.kron(mask, np.ones((patch, patch), np.bool_)).astype(np.bool_)


def test_simmim_of_a_convnet_is_its_equation() -> None:
    backbone = TwoStages()
    torch.manual_seed(3)
    task = SimMIM(backbone, SimmimSection(mask_patch=8))
    images = torch.randn(2, 3, 32, 32)
    rng = np.random.default_rng(0)
    masks = np.stack([random_mask(4, 0.6, rng) for _ in range(2)])
    assert masks.sum(axis=(1, 2)).tolist() == [10, 10]
    output = task(backbone, images, {"masks": torch.from_numpy(masks)}, (1,))

    masked = images.clone()
    for image, mask in zip(masked, masks, strict=True):
        image[:, torch.from_numpy(hidden_pixels(mask, 8))] = task.token.data[:, None]
    cells = plain(backbone(masked)[-1])
    weight, bias = (plain(parameter) for parameter in task.painter.parameters())
    total = count = 0.0
    for image, mask, features in zip(plain(images), masks, cells, strict=True):
        hidden = hidden_pixels(mask, 8)
        for channel in range(3):
            for y, x in np.argwhere(hidden):
                # A pixel of a cell has a channel of its own: channel-major, then rows, then columns.
                own = channel * 64 + (y % 8) * 8 + x % 8
                painted = weight[own, :, 0, 0] @ features[:, y // 8, x // 8] + bias[own]
                total += abs(image[channel, y, x] - painted)
                count += 1
    assert output.loss.item() == pytest.approx(total / count, rel=1e-5)
    # The maps are distilled into what the unmasked image gives.
    torch.testing.assert_close(output.features[0], backbone(images)[1])
    assert task(backbone, images, {"masks": torch.from_numpy(masks)}, ()).features == []


@pytest.mark.parametrize(
    ("name", "patch"), [("swin_tiny_patch4_window7_224", 4), ("vit_tiny_patch16_224", 16)]
)
def test_simmim_hides_a_transformers_patches_behind_its_token(name: str, patch: int) -> None:
    torch.manual_seed(4)
    backbone = build(name).eval()
    task = SimMIM(backbone, SimmimSection(mask_patch=32)).eval()
    images = torch.randn(2, 3, 64, 64)
    masks = torch.tensor([[[True, False], [False, False]], [[True, True], [False, True]]])
    library: Any = backbone.library
    with torch.no_grad():
        loss = task(backbone, images, {"masks": masks}, ()).loss
        # As the authors' code does it: after the embedding, before everything else.
        plain_embedding = library.patch_embed.forward

        def replaced(x: Tensor) -> Tensor:
            tokens: Tensor = plain_embedding(x).clone()
            for image in range(2):
                for row in range(64 // patch):
                    for column in range(64 // patch):
                        if masks[image, row * patch // 32, column * patch // 32]:
                            tokens[image, row, column] = task.token
            return tokens

        library.patch_embed.forward = replaced
        painted = task.painter(backbone(images)[-1])
        library.patch_embed.forward = plain_embedding
        pixels = torch.from_numpy(np.stack([hidden_pixels(mask, 32) for mask in masks.numpy()]))[:, None]
        assert loss.item() == pytest.approx(painting_loss(painted, images, pixels.float()).item(), rel=1e-5)
        # What is hidden is not seen.
        other = torch.where(pixels, torch.randn_like(images), images)
        with task._hidden(library.patch_embed, masks):
            first, second = backbone(images)[-1], backbone(other)[-1]
        assert torch.equal(first, second)
    with pytest.raises(UserError, match=f"mask_patch=6 cuts the {patch}-pixel patches"):
        SimMIM(backbone, SimmimSection(mask_patch=6))


def test_cls_and_no_task() -> None:
    backbone = TwoStages()
    torch.manual_seed(5)
    task = Cls(backbone, 4)
    images, categories = torch.randn(3, 3, 32, 32), torch.tensor([2, 0, 3])
    output = task(backbone, images, {"categories": categories}, (1,))
    pooled = plain(backbone(images)[-1]).mean(axis=(2, 3))
    pooled -= pooled.mean(axis=1, keepdims=True)  # a backbone without batch norms: a layer norm before
    pooled /= np.sqrt(pooled.var(axis=1, keepdims=True) + EPS)
    logits = pooled @ plain(task.linear.weight).T + plain(task.linear.bias)
    chosen = np.exp(logits)[np.arange(3), categories.numpy()] / np.exp(logits).sum(axis=1)
    assert output.loss.item() == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    alone = DistillationAlone()(backbone, images, {}, (0,))
    assert alone.loss.item() == 0
    alone.loss.backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in backbone.parameters())


def test_masks_hide_their_share_at_random() -> None:
    rng = np.random.default_rng(0)
    masks = [random_mask(7, 0.6, rng) for _ in range(300)]
    assert {int(mask.sum()) for mask in masks} == {30}  # 29.4 rounded up
    share = np.mean(masks, axis=0)
    assert abs(share - 30 / 49).max() < 0.15
