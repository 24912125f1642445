"""Coresets: the greedy choice by brute force, seeds, and banks that are small already."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipelines.banks.coreset import farthest, greedy, thinned
from pipelines.banks.matching import nearest


def bank(rows: int, width: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_each_place_is_the_farthest_from_those_before() -> None:
    points = bank(40, 6).double()
    places = greedy(points, 12, torch.Generator().manual_seed(4)).tolist()
    values = points.numpy()
    for number in range(1, len(places)):
        far = np.linalg.norm(values[:, None] - values[places[:number]], axis=-1).min(1)
        assert far[places[number]] == pytest.approx(far.max(), abs=1e-12)


def test_greedy_covers_better_than_chance_and_wide_features_too() -> None:
    clusters = F.normalize(bank(6, 300).repeat_interleave(50, 0) + 0.01 * bank(300, 300, 1), dim=1)
    kept = thinned(clusters, 6, "greedy", 0)
    assert nearest(clusters, kept).max() < 0.05
    assert nearest(clusters, clusters[:6]).max() > 0.3


@pytest.mark.parametrize("kind", ["greedy", "random"])
def test_the_seed_decides_and_a_small_bank_stays(kind: str) -> None:
    points = bank(50, 8)
    assert thinned(points, 50, kind, 0) is points
    assert thinned(points, None, kind, 0) is points
    first = thinned(points, 10, kind, 3)
    assert torch.equal(first, thinned(points, 10, kind, 3))
    assert not torch.equal(first, thinned(points, 10, kind, 4))
    assert len(torch.unique(first, dim=0)) == 10


def test_a_bank_read_in_pieces_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    patches, rows = bank(9, 5), bank(70, 5, 1)
    whole = nearest(patches, rows)
    monkeypatch.setattr("pipelines.banks.matching.AT_ONCE", 20)
    torch.testing.assert_close(nearest(patches, rows), whole, atol=1e-7, rtol=0)
    torch.testing.assert_close(whole, 0.5 * (1 - (patches @ rows.T).amax(1)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("known", [0, 5])
def test_weights_and_what_is_there_already_count(known: int) -> None:
    points, there = bank(40, 6).double(), bank(known, 6, 9).double()
    weights = torch.rand(40, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    apart = torch.cdist(points, there).square().amin(1) if known else None
    places = farthest(points, 12, 3, weights=weights, apart=apart).tolist()
    assert len(set(places)) == 12
    values = points.numpy()
    for number in range(1, len(places)):
        others = np.concatenate([there.numpy(), values[places[:number]]])
        worth = weights.numpy() * np.linalg.norm(values[:, None] - others, axis=-1).min(1) ** 2
        worth[places[:number]] = -1
        assert worth[places[number]] == pytest.approx(worth.max(), abs=1e-12)


def test_weights_of_nothing_take_every_row_once() -> None:
    points = bank(4, 3).repeat(3, 1)
    assert sorted(farthest(points, 12, 0, weights=torch.zeros(12)).tolist()) == list(range(12))
