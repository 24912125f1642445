"""A bank made smaller: patches that stand for all of them."""

import torch
from torch import Tensor

PROJECTED = 128  # dimensions in which the greedy choice measures, as in PatchCore


def thinned(bank: Tensor, most: int | None, kind: str, seed: int) -> Tensor:
    """At most `most` patches of a bank; the bank itself where it has no more.

    Args:
        bank: (R, D) L2-normalised.
        most: patches that stay; None keeps all.
        kind: `random`, or `greedy`: see `greedy`.
        seed: seed of the choice; the same bank and seed give the same patches.
    """
    if most is None or len(bank) <= most:
        return bank
    generator = torch.Generator().manual_seed(seed)
    if kind == "random":
        return bank[torch.randperm(len(bank), generator=generator)[:most].sort().values]
    return bank[greedy(bank, most, generator)]


def greedy(bank: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Places of patches, each the farthest from those before it; the first is drawn.

    The minimax choice of PatchCore (Roth et al., CVPR 2022, algorithm 1) in a random projection of
    `PROJECTED` dimensions; by Euclidean distance, which orders unit vectors as the cosine does.

    Args:
        bank: (R, D).
        most: patches chosen, at most R.
        generator: source of the first place and of the projection.
    """
    points = bank
    if bank.shape[1] > PROJECTED:
        projection = torch.randn(bank.shape[1], PROJECTED, generator=generator, dtype=torch.float32)
        points = bank @ projection.to(bank) / PROJECTED**0.5
    return farthest(points, most, int(torch.randint(len(bank), (1,), generator=generator)))


def farthest(
    points: Tensor,
    most: int,
    first: int,
    *,
    weights: Tensor | None = None,
    apart: Tensor | None = None,
) -> Tensor:
    """Row numbers, (most,) int64: from the first on, each the farthest from those before it, none twice.

    Args:
        points: (R, D) floats, R ≥ `most`; told apart by Euclidean distance.
        most: number of rows.
        first: the row that it begins with.
        weights: (R,) ≥ 0, by which a row's squared distance is multiplied before rows are compared; None
            takes 1 for all.
        apart: (R,) squared distance of each row to what is there already; None where nothing is.
    """
    squares = (points * points).sum(1)
    places = torch.zeros(most, dtype=torch.long, device=points.device)
    distances = torch.full_like(squares, torch.inf) if apart is None else apart.to(squares, copy=True)
    last = first
    for number in range(most):
        places[number] = last
        # In place: thousands of steps over all rows.
        torch.minimum(
            distances, torch.addmv(squares, points, points[last], alpha=-2).add_(squares[last]), out=distances
        )
        distances[last] = -torch.inf
        compared = distances
        if weights is not None:
            compared = distances.clamp_min(0).mul_(weights)  # rounding puts equal points below 0
            compared[places[: number + 1]] = -torch.inf
        last = int(compared.argmax())
    return places
