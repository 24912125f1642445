"""Mutual scoring's sample: of the seed alone, no held-out image, no two alike; who must not judge whom."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, strategies as st

from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.banks.section import BankSection
from pipelines.maps.method import CategoryState
from pipelines.maps.mutual_sample import chosen, judged_states, near_pairs
from pipelines.tables.corpus_tables import ManifestRow


def manifest(count: int, category: str = "steel", split: str = "train") -> list[ManifestRow]:
    rows = [{"image_id": f"{category}{n}", "category": category, "split": split} for n in range(count)]
    return cast(list[ManifestRow], rows)


def bank(**options: Any) -> BankSection:
    return BankSection.model_validate({"mode": "mutual", **options})


@given(st.randoms(), st.integers(2, 30), st.integers(0, 9))
def test_the_choice_is_of_the_seed_and_not_of_the_order(random: Any, sample: int, seed: int) -> None:
    rows = [*manifest(20), *manifest(5, "rail"), *manifest(9, "steel held", "test")][:25]
    mixed = random.sample(rows, len(rows))
    section = bank(sample=sample, seed=seed)
    judges = chosen(mixed, {}, section)
    assert sorted(judges) == sorted(chosen(rows, {}, section))
    assert len(judges) == min(sample, 20) + min(sample, 5)


def test_another_seed_is_another_sample() -> None:
    drawn = {tuple(sorted(chosen(manifest(40), {}, bank(sample=5, seed=seed)))) for seed in range(5)}
    assert len(drawn) == 5


@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_no_two_judges_are_near_duplicates_and_none_is_held_out(pairs: set[tuple[int, int]]) -> None:
    near: dict[str, set[str]] = {}
    for a, b in pairs:
        if a != b:
            near.setdefault(f"steel{a}", set()).add(f"steel{b}")
            near.setdefault(f"steel{b}", set()).add(f"steel{a}")
    rows = [*manifest(12), *manifest(3, "free")]
    rows += cast(list[ManifestRow], [{"image_id": "out", "category": "steel", "split": "test"}])
    try:
        judges = chosen(rows, near, bank(sample=12))
    except UserError as fault:
        assert '2 images of "steel"' in str(fault)  # noqa: PT017 - allowed, not demanded
        return
    assert "out" not in judges
    assert not any(set(near.get(one, ())) & set(judges) for one in judges)


def test_a_category_of_one_image_can_not_be_scored() -> None:
    with pytest.raises(UserError, match=r'2 images of "rail".* it has 1; add images'):
        chosen([*manifest(5), *manifest(1, "rail")], {}, bank())


def sample_in(folder: Path, ids: list[str]) -> Storage:
    storage = Storage.open(str(folder / "sample"))
    storage.create()
    for number, image in enumerate(ids):
        level = np.full((1, 4, 3), float(number), np.float32)
        columns = {"image_id": [image], "category": ["steel"]}
        table = pa.table({**columns, "level_0": pa.FixedShapeTensorArray.from_numpy_ndarray(level)})
        storage.write_table(f"part-{number}.parquet", table)
    return storage


STATE = CategoryState(torch.zeros(2), torch.zeros(2), ())


def test_an_image_is_judged_by_all_but_itself_and_its_near_duplicates(tmp_path: Path) -> None:
    sample = sample_in(tmp_path, ["c", "a", "b"])  # numbers by id: a 1, b 2, c 0 are their values
    state = judged_states({"steel": STATE}, sample, {"b": {"x"}, "x": {"b"}})["steel"]
    assert state.banks[0].shape == (3, 4, 3)

    def judges(image: str) -> list[float]:
        return [float(each[0, 0]) for each in state.judging(image).judges(0)]

    assert judges("a") == [2.0, 0.0]
    assert judges("b") == [1.0, 0.0]
    assert judges("x") == [1.0, 0.0]
    assert judges("other") == [1.0, 2.0, 0.0]


def test_what_has_no_judge_left_is_told(tmp_path: Path) -> None:
    sample = sample_in(tmp_path, ["a", "b"])
    with pytest.raises(UserError, match="near-duplicate of the image x; raise maps"):
        judged_states({"steel": STATE}, sample, {"x": {"a", "b"}, "a": {"x"}, "b": {"x"}})
    with pytest.raises(UserError, match='of the sample of "rail" 0 images could be read'):
        judged_states({"rail": STATE}, sample, {})


def test_pairs_are_read_both_ways(tmp_path: Path) -> None:
    corpus = Storage.open(str(tmp_path))
    corpus.write_table("near_duplicates.parquet", pa.table({"image_id_a": ["a"], "image_id_b": ["b"]}))
    assert near_pairs(corpus) == {"a": {"b"}, "b": {"a"}}
