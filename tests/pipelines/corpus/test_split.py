"""The held-out split: by content, groups on one side, the share as asked."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from pipelines.corpus.split import held_out_images, is_test, spokesman


def held_out_ids(groups: list[list[str]], eligible: set[str], share: float) -> set[str]:
    ids = sorted(image_id for group in groups for image_id in group)
    number_of = {image_id: number for number, group in enumerate(groups) for image_id in group}
    numbers = np.array([number_of[image_id] for image_id in ids], np.int64)
    movable = np.array([image_id in eligible for image_id in ids], np.bool_)
    held_out = held_out_images(pa.array(ids, pa.string()), numbers, movable, share)
    return {image_id for image_id, chosen in zip(ids, held_out, strict=True) if chosen}


def content(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[list[str]], set[str]]:
    ids = [content(number) for number in range(draw(st.integers(0, 40)))]
    cuts = draw(st.lists(st.integers(0, 6), max_size=40))
    groups, place = [], 0
    for size in cuts:
        groups.append(ids[place : place + size])
        place += size
    groups.append(ids[place:])
    eligible = {image_id for image_id in ids if draw(st.integers(0, 9))}
    return [group for group in groups if group], eligible


@given(grouped(), st.floats(0, 0.99))
def test_a_group_is_on_one_side_and_never_held_out_with_an_ineligible_member(
    case: tuple[list[list[str]], set[str]], share: float
) -> None:
    groups, eligible = case
    held_out = held_out_ids(groups, eligible, share)
    assert held_out <= eligible
    for group in groups:
        assert len(held_out & set(group)) in {0, len(group)}
        if len(group) == 1 and group[0] in eligible:
            assert (group[0] in held_out) == is_test(group[0], share)
    # The order of groups and of their members does not matter.
    assert held_out_ids([group[::-1] for group in groups[::-1]], eligible, share) == held_out


@pytest.mark.parametrize("size", [1, 2, 6, 20])
def test_the_share_of_groups_does_not_grow_with_their_size(size: int) -> None:
    ids = [content(number) for number in range(2000 * size)]
    groups = [ids[place : place + size] for place in range(0, len(ids), size)]
    held_out = held_out_ids(groups, set(ids), 0.3)
    assert len(held_out) / len(ids) == pytest.approx(0.3, abs=0.035)


def test_one_more_copy_seldom_turns_the_group_over() -> None:
    turned = sum(
        is_test(spokesman(ids), 0.5) != is_test(spokesman(ids[:-1]), 0.5)
        for ids in ([content(place * 7 + part) for part in range(7)] for place in range(1000))
    )
    assert turned / 1000 == pytest.approx(0.5 / 7, abs=0.03)
