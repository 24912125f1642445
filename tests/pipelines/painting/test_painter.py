"""Painted defects: boxes around exactly what changed, seen against the texture, the same for a seed."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from pipelines.painting.painter import Painted, paint
from pipelines.painting.section import KINDS, PaintSettings
from pipelines.surfaces.defects import DEFECTS
from pipelines.surfaces.generator import generate

Pixels = npt.NDArray[np.uint8]
ALWAYS = PaintSettings(share=1)


def surface(seed: int, size: int = 96, colour: bool = True) -> Pixels:
    image = generate(seed, seed + 1, size=size, defect="normal").image
    return image if colour else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def changed(image: Pixels, result: Painted) -> npt.NDArray[np.bool_]:
    different = image != result.image
    return np.asarray(different.any(axis=2) if different.ndim == 3 else different, np.bool_)


def reference_boxes(mask: npt.NDArray[np.bool_]) -> list[tuple[float, ...]]:
    """Boxes around groups of pixels with fewer than 9 pixels between neighbours, by a plain flood."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    boxes = []
    while left:
        group, front = [], [left.pop()]
        while front:
            y, x = front.pop()
            group.append((y, x))
            near = {(y + dy, x + dx) for dy in range(-9, 10) for dx in range(-9, 10)} & left
            left -= near
            front += near
        ys, xs = [y for y, _ in group], [x for _, x in group]
        boxes.append((float(min(xs)), float(min(ys)), float(max(xs) + 1), float(max(ys) + 1)))
    return sorted(boxes)


def test_the_kinds_are_those_of_generated_surfaces() -> None:
    assert set(KINDS) == set(DEFECTS)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS), colour=st.booleans())
def test_boxes_enclose_exactly_what_changed(seed: int, kind: Any, colour: bool) -> None:
    image = surface(seed % 7, colour=colour)
    before = image.copy()
    result = paint(image, seed=seed, image_id="a", settings=PaintSettings(kinds=(kind,), share=1))
    assert np.array_equal(image, before)
    assert result.image.shape == image.shape
    assert result.image.dtype == np.uint8
    assert np.array_equal(result.mask, changed(image, result))
    assert sorted(map(tuple, result.boxes.tolist())) == reference_boxes(result.mask)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_painted_and_seen(kind: Any) -> None:
    """The strong pixels of a change stand out from what their surroundings have of texture."""
    contrasts = []
    for seed in range(6):
        image = surface(seed, size=128, colour=False)
        result = paint(
            image, seed=seed, image_id="a", settings=PaintSettings(kinds=(kind,), share=1, defects=(1, 1))
        )
        if not len(result.boxes):
            continue
        texture = np.abs(image - cv2.GaussianBlur(image.astype(np.float32), (0, 0), 4))
        step = np.abs(result.image.astype(np.float32) - image)[result.mask]
        strong = float(np.quantile(step, 0.9))
        assert strong >= 0.05 * 255
        contrasts.append(strong / max(float(texture[result.mask].mean()), 1.0))
    assert len(contrasts) >= 5
    assert np.median(contrasts) > 2


def test_a_greater_strength_changes_more() -> None:
    def step(strength: float) -> float:
        total = 0.0
        for seed in range(5):
            image = np.full((96, 96), 128, np.uint8)
            chosen = PaintSettings(kinds=("dent",), strength=(strength, strength), defects=(1, 1), share=1)
            painted = paint(image, seed=seed, image_id="a", settings=chosen).image
            total += float(np.abs(painted.astype(int) - image).max())
        return total

    assert step(4) > step(0.25)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_no_painted_box_overlaps_one_to_avoid(seed: int, data: st.DataObject) -> None:
    image = surface(seed % 5)
    side = st.integers(0, 96)
    corners = st.tuples(side, side, side, side).map(
        lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
    )
    avoid = data.draw(st.lists(corners, max_size=3))
    result = paint(
        image, seed=seed, image_id="b", settings=ALWAYS, avoid=np.array(avoid, np.float64).reshape(-1, 4)
    )
    for x0, y0, x1, y1 in avoid:
        assert not result.mask[y0:y1, x0:x1].any()
        for left, top, right, bottom in result.boxes:
            assert min(x1, right) <= max(x0, left) or min(y1, bottom) <= max(y0, top)


def test_an_image_without_room_stays_as_it_is() -> None:
    image = surface(1)
    result = paint(image, seed=1, image_id="b", settings=ALWAYS, avoid=np.array([[0.0, 0, 96, 96]]))
    assert np.array_equal(result.image, image)
    assert result.boxes.shape == (0, 4)
    assert not result.mask.any()


def test_the_same_seed_and_image_give_the_same_pixels_and_others_do_not() -> None:
    image = surface(2)
    first, again = (paint(image, seed=3, image_id="x", settings=ALWAYS) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.boxes, again.boxes)
    for seed, image_id in ((4, "x"), (3, "y")):
        assert not np.array_equal(
            paint(image, seed=seed, image_id=image_id, settings=ALWAYS).image, first.image
        )


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_so_many_images_are_painted(share: float) -> None:
    image = surface(0, size=64)
    chosen = PaintSettings(share=share, kinds=("blowhole", "pit", "dent"))
    painted = sum(bool(len(paint(image, seed=0, image_id=str(n), settings=chosen).boxes)) for n in range(200))
    assert painted / 200 == pytest.approx(share, abs=0.09)


@pytest.mark.parametrize(
    "shape", [(0, 0), (1, 1), (31, 200), (1, 5000, 3), (5000, 200), (200, 5000, 3), (33, 32, 3)]
)
@pytest.mark.parametrize("value", [0, 97, 255, None])
def test_odd_images_give_no_error(shape: tuple[int, ...], value: int | None) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, shape, dtype=np.uint8) if value is None else np.full(shape, value, np.uint8)
    for seed in range(3):
        result = paint(image, seed=seed, image_id="o", settings=ALWAYS)
        assert np.array_equal(result.mask, changed(image, result))
        if min(shape[:2]) < 32:
            assert not len(result.boxes)
        elif value is not None:
            assert len(result.boxes)  # black, grey and white have room for a defect
        for x0, y0, x1, y1 in result.boxes:
            assert 0 <= x0 < x1 <= shape[1]
            assert 0 <= y0 < y1 <= shape[0]


@pytest.mark.parametrize(
    "image", [np.zeros((40, 40), np.float32), np.zeros((40, 40, 4), np.uint8), np.zeros(9, np.uint8)]
)
def test_other_pixels_are_refused(image: Any) -> None:
    with pytest.raises(ValueError, match="pixels must be"):
        paint(image, seed=0, image_id="a", settings=ALWAYS)


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": ()},
        {"kinds": ("crack", "crack")},
        {"kinds": ("rust",)},
        {"strength": (2, 1)},
        {"strength": (0, 1)},
        {"defects": (3, 2)},
        {"defects": (0, 2)},
        {"share": 0},
    ],
)
def test_settings_that_paint_nothing_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PaintSettings(**change)
