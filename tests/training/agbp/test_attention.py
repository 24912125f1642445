"""Eq. 6-8 against plain loops in float64, and their edges."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from training.agbp.attention import (
    DistillationLoss,
    attention_map,
    correlation,
    layer_loss,
    resize_map,
    similarity,
)

Array = npt.NDArray[np.float64]


def loop_attention(features: Array) -> Array:
    """Eq. 6, one number at a time."""
    channels, height, width = features.shape
    attention = np.zeros((height, width))
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                attention[y, x] += features[c, y, x] ** 2
    return attention


def loop_resize(source: Array, height: int, width: int) -> Array:
    """Bilinear with pixel centres at the half, edges repeated."""
    resized = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            at_y = max(0.0, (y + 0.5) * source.shape[0] / height - 0.5)
            at_x = max(0.0, (x + 0.5) * source.shape[1] / width - 0.5)
            y0, x0 = int(at_y), int(at_x)
            y1, x1 = min(y0 + 1, source.shape[0] - 1), min(x0 + 1, source.shape[1] - 1)
            v, u = at_y - y0, at_x - x0
            upper = source[y0, x0] * (1 - u) + source[y0, x1] * u
            lower = source[y1, x0] * (1 - u) + source[y1, x1] * u
            resized[y, x] = upper * (1 - v) + lower * v
    return resized


def loop_unit(values: Array) -> list[float]:
    flat = [float(value) for row in values for value in row]
    norm = math.sqrt(sum(value * value for value in flat))
    return [value / norm for value in flat]


def loop_loss(features: Array, anomaly_map: Array, distance: str) -> float:
    """Eq. 7 of one layer, mean over the batch."""
    losses = []
    for image, target in zip(features, anomaly_map, strict=True):
        f = loop_unit(loop_attention(image))
        m = loop_unit(loop_resize(target, image.shape[1], image.shape[2]))
        if distance == "cosine":
            losses.append(1 - sum(a * b for a, b in zip(f, m, strict=True)))
        else:
            losses.append(math.sqrt(sum((a - b) ** 2 for a, b in zip(f, m, strict=True))))
    return sum(losses) / len(losses)


@pytest.fixture
def layers() -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = [
        torch.randn(3, 5, size, size + 1, generator=generator, dtype=torch.float64) for size in (7, 4)
    ]
    return features, torch.rand(3, 6, 6, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_layer_loss_is_the_equation(layers: tuple[list[Tensor], Tensor], distance: str) -> None:
    features, maps = layers
    for layer in features:
        ours = layer_loss(layer, maps, distance).item()  # type: ignore[arg-type]
        assert ours == pytest.approx(loop_loss(layer.numpy(), maps.numpy(), distance), abs=1e-12)
    total = DistillationLoss(distance).attention_loss(features, maps).item()  # type: ignore[arg-type]
    assert total == pytest.approx(
        sum(loop_loss(x.numpy(), maps.numpy(), distance) for x in features), abs=1e-12
    )


def test_attention_and_resize(layers: tuple[list[Tensor], Tensor]) -> None:
    features, maps = layers
    np.testing.assert_allclose(attention_map(features[0])[1], loop_attention(features[0][1].numpy()))
    for size in ((7, 8), (2, 3), (6, 6), (13, 5)):
        np.testing.assert_allclose(resize_map(maps, size)[2], loop_resize(maps[2].numpy(), *size), atol=1e-12)


def test_correlation_is_pearsons(layers: tuple[list[Tensor], Tensor]) -> None:
    features, maps = layers
    ours = correlation(features[0], maps)
    for index in range(3):
        f = loop_attention(features[0][index].numpy()).ravel()
        m = loop_resize(maps[index].numpy(), 7, 8).ravel()
        assert ours[index].item() == pytest.approx(np.corrcoef(f, m)[0, 1], abs=1e-12)


@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_gradient_is_that_of_the_loss(layers: tuple[list[Tensor], Tensor], distance: str) -> None:
    features, maps = layers
    layer = features[1].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer_loss(x, maps, distance), (layer,))  # type: ignore[arg-type]


@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_zero_maps_and_zero_features_send_no_gradient(distance: str) -> None:
    features = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    loss = layer_loss(features, torch.zeros(2, 4, 4), distance)  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss.item() == pytest.approx(1.0)
    assert gradient.abs().max() < 1e-6
    dead = torch.zeros(2, 3, 4, 4, requires_grad=True)
    loss = layer_loss(dead, torch.ones(2, 4, 4), distance)  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(loss, dead)
    assert torch.isfinite(loss)
    assert gradient.abs().max() == 0


def test_constant_maps_ask_for_even_attention() -> None:
    even = torch.ones(1, 3, 4, 4)
    assert similarity(even, torch.full((1, 2, 2), 0.4)).item() == pytest.approx(1.0)
    assert correlation(even, torch.rand(1, 2, 2)).item() == 0.0


def test_scale_of_features_and_maps_is_nothing() -> None:
    generator = torch.Generator().manual_seed(2)
    features, maps = torch.randn(2, 3, 4, 4, generator=generator), torch.rand(2, 6, 6, generator=generator)
    whole = layer_loss(features, maps, "cosine")
    torch.testing.assert_close(layer_loss(features * 7, maps * 0.01, "cosine"), whole)
    half = layer_loss(features.to(torch.bfloat16), maps, "cosine")
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole, atol=2e-2, rtol=0)


def test_lambda_is_measured_once_and_kept() -> None:
    loss = DistillationLoss("cosine")
    assert loss.state() == {}
    first = loss.total(torch.tensor(3.0), torch.tensor(0.5))
    assert loss.lam == pytest.approx(6.0)
    assert first.item() == pytest.approx(6.0)
    assert loss.total(torch.tensor(1.0), torch.tensor(0.25)).item() == pytest.approx(2.5)
    again = DistillationLoss("cosine")
    again.load_state(loss.state())
    assert again.lam == loss.lam
    assert DistillationLoss("cosine", lam=0.0).total(torch.tensor(1.0), torch.tensor(9.0)).item() == 1.0


@pytest.mark.parametrize(("task", "attention"), [(0.0, 0.7), (2.0, 0.0)])
def test_lambda_is_one_where_the_ratio_says_nothing(task: float, attention: float) -> None:
    loss = DistillationLoss("cosine")
    loss.total(torch.tensor(task), torch.tensor(attention))
    assert loss.lam == 1.0
