"""Suppression against plain loops over fractions: an overlap of exactly the limit keeps both boxes."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings, strategies as st

from pipelines.boxes.pseudo_boxes import CategoryThreshold, pseudo_boxes
from pipelines.boxes.section import PseudoBoxSettings
from pipelines.boxes.suppression import by_float32_limits, unsuppressed
from tests.pipelines.boxes.tied_components import SIDES, tied_boxes, tied_map

Box = tuple[int, int, int, int]


def overlap(a: Box, b: Box) -> Fraction:
    w = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return Fraction(w * h, union)


def reference(boxes: list[Box], limit: Fraction, labels: list[int]) -> list[int]:
    kept: list[int] = []
    for place, box in enumerate(boxes):
        rivals = [boxes[other] for other in kept if labels[other] == labels[place]]
        if all(overlap(box, rival) <= limit for rival in rivals):
            kept.append(place)
    return kept


def tensor(boxes: list[Box]) -> torch.Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


@st.composite
def box(draw: st.DrawFn) -> Box:
    x, y = draw(st.integers(-8, 8)), draw(st.integers(-8, 8))
    return x, y, x + draw(st.integers(1, 12)), y + draw(st.integers(1, 6))


LIMITS = st.integers(1, 20).flatmap(lambda q: st.tuples(st.integers(1, q), st.just(q)))


@settings(max_examples=300, deadline=None)
@given(
    labelled=st.lists(st.tuples(box(), st.integers(0, 2)), max_size=12),
    limit=LIMITS,
    far=st.sampled_from([0, 100_000]),
)
def test_what_stays_is_what_fractions_keep(
    labelled: list[tuple[Box, int]], limit: tuple[int, int], far: int
) -> None:
    """Ties are many among such boxes; negative ones must not come among another label's."""
    boxes, labels = [each for each, _ in labelled], [label for _, label in labelled]
    moved = tensor([(x0 + far, y0 + far, x1 + far, y1 + far) for x0, y0, x1, y1 in boxes])
    p, q = limit
    kept = unsuppressed(moved, p / q, torch.tensor(labels, dtype=torch.int64))
    assert kept.tolist() == reference(boxes, Fraction(p, q), labels)
    one = unsuppressed(moved, p / q)
    assert one.tolist() == reference(boxes, Fraction(p, q), [0] * len(boxes))
    # What an accelerator may answer without the CPU is the same.
    quick = by_float32_limits(moved.double(), p / q)
    assert quick is None or torch.equal(quick, one)


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_tie_at_any_limit_keeps_both_and_one_square_pixel_more_does_not(percent: int) -> None:
    for height in (1, 3, 4096):
        whole, part = (0, 0, 100, height), (0, 0, percent, height)
        assert unsuppressed(tensor([whole, part]), percent / 100).tolist() == [0, 1]
    if percent < 100:
        # A union of 10⁸ pixels; float32 has no number between the two overlaps.
        wide, more = (
            (0, 0, 10_000, 10_000),
            [(0, 0, 100 * percent, 10_000), (0, 0, 100 * percent + 1, 10_000)],
        )
        assert unsuppressed(tensor([wide, more[0]]), percent / 100).tolist() == [0, 1]
        assert unsuppressed(tensor([wide, more[1]]), percent / 100).tolist() == [0]


def test_float32_limits_answer_only_where_they_do_not_decide() -> None:
    apart = tensor([(0, 0, 10, 10), (20, 20, 30, 30), (0, 0, 10, 9)]).double()
    kept = by_float32_limits(apart, 0.8)
    assert kept is not None
    assert kept.tolist() == [0, 1]
    tied = tensor([(0, 0, 10, 10), (0, 0, 10, 8)]).double()
    assert by_float32_limits(tied, 0.8) is None


@pytest.mark.parametrize("limit", sorted(SIDES))
def test_pseudo_boxes_that_overlap_by_exactly_the_limit_stay(limit: float) -> None:
    grid = tied_map(limit)
    for chosen, count in ((limit, 2), (limit - 0.01, 1)):
        boxes = pseudo_boxes(
            grid,
            1.0,
            width=64,
            height=64,
            threshold=CategoryThreshold("plate", 1, 1.0, 0.5, 0.0),
            settings=PseudoBoxSettings(nms_iou=chosen),
        )
        assert [(each.x0, each.y0, each.x1, each.y1) for each in boxes] == tied_boxes(limit)[:count]
