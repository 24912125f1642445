"""Rules beside the paper's against a plainly written float64 reference (docs/method.md#other-rules)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from numpy.typing import NDArray

from cluster.errors import UserError
from pipelines.boxes.outstanding import standardised
from pipelines.boxes.pseudo_boxes import CategoryThreshold, PseudoBox, pseudo_boxes
from pipelines.boxes.section import BoxesSection, PseudoBoxSettings
from pipelines.images.components import joined_components
from pipelines.maps.reading import upsample
from tests.pipelines.boxes.test_pseudo_boxes import reference_iou, reference_upsample

ANY = CategoryThreshold("plate", 1, 0.0, 0.0, -np.inf)
NEAR = 1e-4  # of a cut: float32 may put such a pixel on either side
RULES = ("standardised", "hysteresis")


def boxes_of(grid: NDArray[Any], width: int, height: int, configured: PseudoBoxSettings) -> list[PseudoBox]:
    return pseudo_boxes(
        grid.astype(np.float32), 1.0, width=width, height=height, threshold=ANY, settings=configured
    )


def reference_standardised(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    values = sorted(grid.ravel().tolist())
    half = len(values) // 2
    median = values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
    mean = sum(values) / len(values)
    sigma = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    return np.array([(value - median) / sigma for value in grid.ravel().tolist()]).reshape(grid.shape)


def reference_joined(mask: NDArray[np.bool_], gap: int) -> list[set[tuple[int, int]]]:
    """Pixels joined wherever at most `gap` lie between them along either axis, by union of all pairs."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        stack, region = [left.pop()], set()
        while stack:
            y, x = stack.pop()
            region.add((y, x))
            near = {(v, u) for v, u in left if max(abs(v - y), abs(u - x)) <= gap + 1}
            left -= near
            stack += near
        found.append(region)
    return found


def reference_boxes(
    grid: NDArray[np.float64], width: int, height: int, low: float, high: float, how: dict[str, Any]
) -> list[PseudoBox]:
    full = reference_upsample(grid, width, height)
    raised = reference_upsample(reference_standardised(grid), width, height)
    edge = {
        (y, x) for y in range(height) for x in range(width) if y in (0, height - 1) or x in (0, width - 1)
    }
    kept = []
    for region in reference_joined(raised >= low, round(how["gap"] * min(width, height))):
        if max(raised[y, x] for y, x in region) < high or len(region) < how["least_share"] * width * height:
            continue
        if len(region & edge) / len(edge) > how["border_limit"]:
            continue
        ys, xs = [y for y, _ in region], [x for _, x in region]
        peak = max(full[y, x] for y, x in region)
        kept.append((len(region), PseudoBox(min(xs), min(ys), max(xs) + 1, max(ys) + 1, peak)))
    kept.sort(key=lambda one: (-one[0] if how["keep"] == "largest" else 0, -one[1].score))
    boxes = sorted((box for _, box in kept[: how["most_regions"]]), key=lambda box: -box.score)
    clear: list[PseudoBox] = []
    for box in boxes:
        if all(reference_iou(box, other) <= 0.8 for other in clear):
            clear.append(box)
    return clear


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rule=st.sampled_from(RULES),
    cuts=st.tuples(st.floats(0.2, 1.5), st.floats(0.0, 1.5)),
    how=st.fixed_dictionaries(
        {
            "most_regions": st.integers(1, 5),
            "keep": st.sampled_from(["largest", "highest"]),
            "least_share": st.floats(0, 0.1),
            "border_limit": st.floats(0.01, 1),
            "gap": st.sampled_from([0.0, 0.04, 0.1, 0.25]),
        }
    ),
)
def test_boxes_equal_the_reference(
    seed: int, rule: str, cuts: tuple[float, float], how: dict[str, Any]
) -> None:
    rng = np.random.default_rng(seed)
    grid = rng.random((int(rng.integers(3, 9)),) * 2).astype(np.float32).astype(np.float64)
    width, height = int(rng.integers(8, 40)), int(rng.integers(8, 40))
    low, high = cuts[0], cuts[0] + cuts[1] * (rule == "hysteresis")
    raised = reference_upsample(reference_standardised(grid), width, height)
    assume(min(np.abs(raised - low).min(), np.abs(raised - high).min()) > NEAR / 10)
    own = {"cut": low} if rule == "standardised" else {"low": low, "high": high}
    ours = boxes_of(grid, width, height, PseudoBoxSettings.model_validate({"rule": rule, rule: own | how}))
    plain = reference_boxes(grid, width, height, low, high, how)
    # Equal areas may fall in another order where peaks tie to within rounding too: random maps have no such.
    np.testing.assert_allclose(
        [(box.x0, box.y0, box.x1, box.y1, box.score) for box in ours],
        [(box.x0, box.y0, box.x1, box.y1, box.score) for box in plain],
        atol=1e-6,
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rule=st.sampled_from(RULES),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-1e3, 1e3),
)
def test_a_map_of_another_unit_has_the_same_boxes(seed: int, rule: str, scale: float, shift: float) -> None:
    grid = np.random.default_rng(seed).integers(0, 1024, (7, 7)).astype(np.float64)
    moved = (grid * scale + shift).astype(np.float32)
    raised = upsample(standardised(grid.astype(np.float32)), 50, 40)
    configured = PseudoBoxSettings.model_validate({"rule": rule})
    for cut in (configured.standardised.cut, configured.hysteresis.low, configured.hysteresis.high):
        # float32 holds a small map on a large shift with few digits: 1e3 + 1e-3·1024 with about 2⁻¹⁴.
        rounding = 1e-4 + 4 * np.spacing(np.float32(abs(shift) + 1024 * scale)) / (scale * grid.std())
        assume(np.abs(raised - cut).min() > rounding)
    # Areas are equal, peaks are ordered alike, so which regions stay is the same.
    ours, other = boxes_of(grid, 50, 40, configured), boxes_of(moved, 50, 40, configured)
    assert [(b.x0, b.y0, b.x1, b.y1) for b in ours] == [(b.x0, b.y0, b.x1, b.y1) for b in other]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    grid_side=st.integers(1, 12),
    gap=st.floats(0, 0.25),
    rule=st.sampled_from(RULES),
)
def test_a_box_lies_in_the_image_and_encloses_its_region(
    seed: int, width: int, height: int, grid_side: int, gap: float, rule: str
) -> None:
    grid = np.random.default_rng(seed).exponential(size=(grid_side, grid_side))
    own = {"gap": gap, "most_regions": 1000, "least_share": 0}
    own |= {"cut": 1.0} if rule == "standardised" else {"low": 1.0, "high": 1.5}
    configured = PseudoBoxSettings.model_validate({"rule": rule, "nms_iou": 1, rule: own})
    boxes = boxes_of(grid, width, height, configured)
    for box in boxes:
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
    covered = np.zeros((height, width), np.bool_)
    for box in boxes:
        covered[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
    reached = upsample(standardised(grid.astype(np.float32)), width, height) >= (
        1.0 if rule == "standardised" else 1.5
    )
    assert covered[reached].all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), gap=st.integers(0, 6), share=st.floats(0.01, 0.4))
def test_regions_join_over_a_gap_as_in_a_search_of_all_pairs(seed: int, gap: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((int(rng.integers(1, 20)), int(rng.integers(1, 20)))) < share
    ours = []
    for y, x, inside in joined_components(mask, gap):
        # Its smallest rectangle:
        assert all(side.any() for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        ours.append({(y + int(v), x + int(u)) for v, u in np.argwhere(inside)})
    assert sorted(map(sorted, ours)) == sorted(map(sorted, reference_joined(mask, gap)))


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e30])
@pytest.mark.parametrize("rule", RULES)
def test_a_flat_map_has_no_boxes(rule: str, value: float) -> None:
    """The deviation of 729 times 0.1 is 0 however it rounds."""
    configured = PseudoBoxSettings.model_validate({"rule": rule})
    for side in (1, 27):
        assert boxes_of(np.full((side, side), value), 64, 48, configured) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("rule", RULES)
def test_a_map_of_no_numbers_is_refused(rule: str, value: float) -> None:
    grid = np.zeros((4, 4))
    grid[1, 2] = value
    with pytest.raises(UserError, match="holds values that are no numbers"):
        boxes_of(grid, 64, 64, PseudoBoxSettings.model_validate({"rule": rule}))


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1.0, 1e38])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (4000, 3000)])
def test_tiny_and_huge_maps(scale: float, width: int, height: int) -> None:
    """One hot cell in a corner of 4 × 4; in a single column or pixel nothing, or the same, stands out."""
    grid = np.zeros((4, 4))
    grid[3, 0] = scale * 3
    for rule in RULES:
        configured = PseudoBoxSettings.model_validate(
            {"rule": rule, rule: {"gap": 0.25, "least_share": 0.0} | ({"cut": 3} if rule == RULES[0] else {})}
        )
        found = boxes_of(grid, width, height, configured)
        assert len(found) <= 1
        if width > 1:
            assert (found[0].x0, found[0].y1, found[0].score) == (0, height, float(np.float32(scale * 3)))


def test_a_frame_is_dropped_where_the_border_is_limited() -> None:
    """10 × 10 at its own size: a ring of 36 pixels and a block of 9 in the middle that is less hot."""
    grid = np.zeros((10, 10))
    grid[[0, -1], :] = grid[:, [0, -1]] = 5.0
    grid[4:7, 4:7] = 4.5
    own = {"cut": 0.5, "least_share": 0.0}
    whole, limited, one = (
        boxes_of(
            grid,
            10,
            10,
            PseudoBoxSettings.model_validate({"rule": "standardised", "standardised": own | more}),
        )
        for more in ({}, {"border_limit": 0.99}, {"most_regions": 1})
    )
    assert whole == [PseudoBox(0, 0, 10, 10, 5.0), PseudoBox(4, 4, 7, 7, 4.5)]
    assert limited == whole[1:]
    assert one == whole[:1]


def test_a_normal_image_has_no_boxes_by_any_rule() -> None:
    grid = np.zeros((8, 8), np.float32)
    grid[2, 2] = 1.0
    below = CategoryThreshold("plate", 9, 1.0, 0.9, 0.5)
    for rule in RULES:
        configured = PseudoBoxSettings.model_validate({"rule": rule, rule: {"least_share": 0.0}})
        for score, count in ((0.49, 0), (0.5, 1)):
            boxes = pseudo_boxes(grid, score, width=64, height=64, threshold=below, settings=configured)
            assert len(boxes) == count


def test_settings_of_the_papers_rule_decide_what_they_did() -> None:
    """Written by hand: artifacts made before there were other rules are found by this mapping."""
    before = {
        "c": 0.1,
        "delta": "auto",
        "top_k": 10,
        "nms_iou": 0.8,
        "min_area": "released",
        "export_yolo": True,
    }
    assert BoxesSection().deciding() == BoxesSection().model_dump(mode="json") == before
    changed = {"standardised": {"cut": 2.0}, "hysteresis": {"low": 1.0}}
    assert BoxesSection.model_validate(changed).deciding() == before
    other = BoxesSection.model_validate({"rule": "standardised", **changed}).deciding()
    assert (other["rule"], other["standardised"]["cut"], "hysteresis" in other) == (
        "standardised",
        2.0,
        False,
    )


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"rule": "hysteresis"},
        {"standardised": {"cut": 2.0}},  # not read, but kept for whoever lays another rule over it
        {"rule": "standardised", "standardised": {"gap": 0.1}, "hysteresis": {"low": 1.0}},
    ],
)
def test_a_dump_is_read_back_as_it_was(document: dict[str, Any]) -> None:
    section = BoxesSection.model_validate(document)
    assert BoxesSection.model_validate(section.model_dump(mode="json")) == section
    assert section.settings == PseudoBoxSettings.model_validate(document)


def test_the_lower_cut_is_not_above_the_higher() -> None:
    with pytest.raises(ValueError, match="low, 4, is above high, 3"):
        PseudoBoxSettings.model_validate({"hysteresis": {"low": 4}})
