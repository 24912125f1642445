"""Semantic FPN: its loss is the mean over the pixels that count, its parts are told apart."""

import numpy as np
import pytest
import torch

from training.models.segmenters.base import IGNORED, build_segmenter

NAME, SIDE = "semantic-fpn+test_resnet.r160_in1k", 64


def test_the_loss_is_the_mean_cross_entropy_of_what_counts() -> None:
    torch.manual_seed(0)
    model = build_segmenter(NAME, ("crack", "pit"), SIDE)
    images = torch.rand(2, 3, SIDE, SIDE)
    semantic = torch.randint(0, 3, (2, SIDE, SIDE))
    semantic[0, :40] = IGNORED
    model.eval()  # batch norms of the backbone are as for the scores
    loss, parts = model(images, {"semantic": semantic})
    scores = model.scores(images).detach().double().numpy()
    assert scores.shape == (2, 3, SIDE, SIDE)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    truth = semantic.numpy()
    found = [
        -np.log(scores[b, truth[b, y, x], y, x])
        for b in range(2)
        for y in range(SIDE)
        for x in range(SIDE)
        if truth[b, y, x] != IGNORED
    ]
    assert float(loss) == pytest.approx(np.mean(found), rel=1e-4)
    assert float(parts["pixels"]) == float(loss)


def test_a_crop_of_nothing_teaches_nothing() -> None:
    model = build_segmenter(NAME, ("crack",), SIDE)
    loss, _ = model(torch.rand(1, 3, SIDE, SIDE), {"semantic": torch.full((1, SIDE, SIDE), IGNORED)})
    assert float(loss) == 0


def test_every_weight_has_a_part() -> None:
    model = build_segmenter(NAME, ("crack",), SIDE)
    parts = {key.partition(".")[0]: model.part_of(key) for key in model.state_dict()}
    assert parts == {"encoder": "backbone", "neck": "neck", "head": "head", "predictor": "classes"}


def test_it_learns_to_tell_dark_from_light() -> None:
    torch.manual_seed(0)
    model = build_segmenter(NAME, ("dark",), SIDE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        semantic = torch.zeros(4, SIDE, SIDE, dtype=torch.int64)
        for image, (y, x) in enumerate(torch.randint(0, SIDE // 2, (4, 2)).tolist()):
            semantic[image, y : y + 24, x : x + 24] = 1
        images = 0.8 - 0.6 * semantic[:, None].expand(-1, 3, -1, -1) + 0.05 * torch.randn(4, 3, SIDE, SIDE)
        loss, _ = model(images.clamp(0, 1), {"semantic": semantic})
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    found = model.probabilities(images.clamp(0, 1)).argmax(1)
    inside = ((found == 1) & (semantic == 1)).sum() / ((found == 1) | (semantic == 1)).sum()
    assert float(inside) > 0.7  # IoU of the dark squares
