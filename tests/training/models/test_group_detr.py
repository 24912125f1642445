"""LW-DETR and RF-DETR: boxes, the loss's bounds, sizes, and files as they are published."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cluster.errors import UserError
from training.models.detectors.base import Detector, build_detector
from training.models.detectors.group_detr import joined_map
from training.models.detectors.published import published_weights
from training.models.letterbox import Preprocessing
from training.starts.filling import filled_detector, fresh_detector
from training.weights.files import load_weights

SIDE = 64
SQUARE = Preprocessing(SIDE, "square")
CLASSES = ("crack", "fray")


@pytest.fixture(scope="module")
def tiny() -> Detector:
    """Of seed 0; never to be changed."""
    return fresh_detector("lw-detr-tiny", CLASSES, SQUARE, seed=0)


def test_boxes_are_the_librarys_in_pixels_of_coloured_images(tiny: Detector) -> None:
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    network: Any = tiny.eval().network
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        boxes, scores = tiny.candidates(images)
        raw = network.eval()((images - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    x, y, width, height = (raw.pred_boxes.double() * SIDE).unbind(-1)
    corners = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], -1)
    assert boxes.shape == (2, 16, 1, 4)  # as many queries as places
    assert torch.allclose(boxes[:, :, 0].double(), corners, atol=1e-3)
    assert torch.allclose(scores, 1 / (1 + torch.exp(-raw.logits)), atol=1e-6)


def plain_classes(logits: Tensor, ious: dict[int, float], alpha: float = 0.25) -> float:
    """IoU-aware BCE: t = p^α·u^(1−α) of the matched query, p² of all others; float64, log(1 − p) exact."""
    total = 0.0
    for query, row in enumerate(logits.double().numpy()):
        for number, z in enumerate(row):
            log_p, log_rest = -np.logaddexp(0, -z), -np.logaddexp(0, z)
            p = np.exp(log_p)
            if number == 0 and query in ious:
                t = max(0.01, p**alpha * ious[query] ** (1 - alpha))
                total += -t * log_p - (1 - t) * log_rest
            else:
                total += -(p**2) * log_rest
    return total


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("logit", [-40.0, 2.0, 7.0, 15.5])
def test_the_loss_of_classes_is_its_formula_and_finite_in_every_precision(
    tiny: Detector, logit: float, dtype: torch.dtype
) -> None:
    network: Any = tiny.network
    config = type(network.config)(num_queries=1, group_detr=1, auxiliary_loss=False)
    boxes = torch.tensor([[[0.3, 0.3, 0.4, 0.4]]]).repeat(1, 3, 1)
    boxes[:, 1:] += 0.2
    logits = torch.full((1, 3, 2), logit).to(dtype).requires_grad_()
    labels = [{"class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.3, 0.3, 0.4, 0.4]])}]
    config.num_queries = 3
    _, terms, _ = network.loss_function(
        logits, labels, "cpu", boxes.to(dtype).float(), config, None, None, logits, boxes
    )
    found = terms["loss_ce"]
    assert found.isfinite()
    bounded = logits.detach().float().clamp(-16, 16)
    assert found.item() == pytest.approx(plain_classes(bounded[0], {0: 1.0}), rel=2e-2, abs=1e-4)
    found.backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
    if logit > 3:  # a sure false query is pulled down, with slope 1, beyond the bound too
        assert torch.allclose(logits.grad[0, 1].float(), torch.ones(2), atol=0.1)


def test_a_logit_beyond_the_bound_still_learns(tiny: Detector) -> None:
    network: Any = tiny.network
    config = type(network.config)(num_queries=3, group_detr=1, auxiliary_loss=False)
    logits = torch.full((1, 3, 2), 60.0).requires_grad_()
    boxes = torch.full((1, 3, 4), 0.4)
    labels = [{"class_labels": torch.zeros(0, dtype=torch.int64), "boxes": torch.zeros(0, 4)}]
    _, terms, _ = network.loss_function(logits, labels, "cpu", boxes, config, None, None, logits, boxes)
    terms["loss_ce"].backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad, torch.ones(1, 3, 2), atol=1e-3)


@pytest.mark.parametrize("name", ["lw-detr-tiny", "rf-detr+resnet18"])
def test_a_fresh_decoder_is_drawn_as_its_authors_draw_it(name: str) -> None:
    model: Any = fresh_detector(name, CLASSES, SQUARE, seed=0).model
    assert model.query_feat.weight.std().item() == pytest.approx(1, abs=0.02)
    assert not model.reference_point_embed.weight.any()
    linear = {
        key: layer
        for part in (model.decoder, model.enc_output)
        for key, layer in part.named_modules()
        if isinstance(layer, torch.nn.Linear)
    }
    assert len(linear) > 13
    for key, layer in linear.items():
        if key.endswith(("sampling_offsets", "attention_weights")):  # a star of fixed points, equally heavy
            assert not layer.weight.any(), key
        else:  # Glorot and Bengio 2010, equation 16: uniform, of variance 2 / (in + out)
            expected = (2 / (layer.in_features + layer.out_features)) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05), key


def published_file(folder: Path, name: str) -> Path:
    """A file as it is published: other classes, 300 queries (100), former keys, no metadata of ours."""
    source = fresh_detector(name, ("a", "b", "c"), Preprocessing(320, "square"), seed=7)
    renamed = {}
    for key, tensor in source.state_dict().items():
        former = key
        if name.startswith("lw"):
            for now, then in {
                "attention.q_proj": "attention.attention.query",
                "attention.k_proj": "attention.attention.key",
                "attention.v_proj": "attention.attention.value",
                "attention.o_proj": "attention.output",
            }.items():
                former = former.replace(now, then)
        else:
            former = key.removeprefix("model.")
        renamed[former] = tensor.contiguous()
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder / "model.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lw-detr-tiny", "rf-detr-nano"])
def test_a_published_file_fills_all_but_the_classes(name: str, tmp_path: Path) -> None:
    path = published_file(tmp_path, name)
    state, metadata = load_weights(path)
    filled, report = filled_detector(
        name, CLASSES, SQUARE, 0, state=state, metadata=metadata, source=str(path)
    )
    assert not report.mismatched
    for part in ("backbone", "neck", "head"):
        counts = report.parts[part]
        assert counts.tensors == counts.of_tensors
    source = fresh_detector(name, ("a", "b", "c"), Preprocessing(320, "square"), seed=7).state_dict()
    queries = source["model.query_feat.weight"].reshape(13, -1, 256)
    own = filled.state_dict()["model.query_feat.weight"].reshape(13, -1, 256)
    assert own.equal(queries[:, : own.shape[1]])
    assert own.shape[1] == 16 < queries.shape[1]


@pytest.mark.parametrize(
    ("name", "side", "told"),
    [
        ("lw-detr-tiny", 96, "sides are multiples of 64 px, not 96"),
        ("rf-detr-base", 64, "sides are multiples of 56 px, not 64"),
        ("lw-detr+vit_tiny_patch32", 64, "no backbone"),
        ("rf-detr", 64, "needs a backbone"),
    ],
)
def test_what_can_not_be_built_is_explained(name: str, side: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build_detector(name, CLASSES, Preprocessing(side, "square"))


@pytest.mark.parametrize("name", ["lw-detr-small", "rf-detr-nano"])
def test_published_weights_are_given_as_a_file(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}'s coco weights are not downloaded; fetch the"):
        published_weights(name, "coco")


def test_maps_are_joined_at_stride_16() -> None:
    rng = torch.Generator().manual_seed(0)
    fine, middle, coarse = (
        torch.rand(2, channels, side, 2 * side, generator=rng) for channels, side in ((3, 8), (4, 4), (5, 2))
    )
    (joined,) = joined_map([fine, middle, coarse]).feature_maps
    assert joined.shape == (2, 12, 4, 8)
    assert joined[:, 3:7].equal(middle)
    assert torch.allclose(joined[1, 2, 3, 5], fine[1, 2, 6:8, 10:12].mean())
    assert joined[0, 9, 3, 5].equal(coarse[0, 2, 1, 2])
    (alone,) = joined_map([middle, middle]).feature_maps
    assert alone.equal(torch.cat([middle, middle], 1))
