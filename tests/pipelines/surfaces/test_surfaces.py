"""Generated surfaces: deterministic, varied, masks that tell what is really seen, corpora byte for byte."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from cluster.errors import UserError
from pipelines.surfaces.categories import CATEGORIES, KINDS
from pipelines.surfaces.defects import DEFECTS
from pipelines.surfaces.generator import generate, write_corpus
from pipelines.surfaces.section import GenerateSection

SIZE = 64
PAIRS = [(category, kind) for category, recipe in CATEGORIES.items() for kind in recipe.defects]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.png"))
    }


def test_lines_share_a_corpus_and_one_line_is_as_before(tmp_path: Path) -> None:
    settings = {"images_per_category": 8, "size": 32, "defect_share": 0.5, "categories": ["casting"]}
    write_corpus(tmp_path / "one", seed=4, **settings)  # type: ignore[arg-type]
    write_corpus(tmp_path / "three", seed=4, lines=3, **settings)  # type: ignore[arg-type]
    corpora = [digests(tmp_path / part) for part in ("one", "three")]
    one, three = ({Path(name).name: each for name, each in corpus.items()} for corpus in corpora)
    same = {f"{index:05d}.png" for index in range(8) if one[f"{index:05d}.png"] == three[f"{index:05d}.png"]}
    assert same == {"00000.png", "00001.png", "00002.png"}  # the first of three lines has the seed's own look
    for index, line in ((3, 5), (5, 5), (6, 6), (7, 6)):
        sample = generate(line, index, size=32, category="casting", defect="normal" if index < 4 else None)
        (path,) = (tmp_path / "three").rglob(f"{index:05d}.png")
        np.testing.assert_array_equal(np.asarray(Image.open(path)), sample.image)


def test_kinds_of_defects_may_be_chosen(tmp_path: Path) -> None:
    kinds, categories = ("dent", "fray", "stain"), ["magnetic_tile", "copper_foil"]
    settings = {"seed": 4, "images_per_category": 40, "size": 32, "defect_share": 0.9}
    write_corpus(tmp_path, **settings, categories=categories, defects=kinds)  # type: ignore[arg-type]
    drawn = {name: {path.name for path in (tmp_path / name).iterdir()} for name in categories}
    assert drawn == {"magnetic_tile": {"good", "fray"}, "copper_foil": {"good", "dent", "stain"}}
    # All kinds by name are what leaving them out draws.
    for index in range(10):
        named, plain = (generate(4, index, size=32, defects=each) for each in (KINDS, None))
        assert named.defect == plain.defect
        np.testing.assert_array_equal(named.image, plain.image)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"defects": ["dint"]}, 'no generated defect "dint"; did you mean "dent"'),
        ({"defects": ["dent", "dent"]}, "defects must all be different"),
        ({"defects": ["dent"], "categories": ["copper_foil", "rail"]}, "rail has none of the defects dent"),
        ({"defects": ["dent", "stain"]}, "steel_strip has none of the defects dent, stain"),
        ({"defects": []}, "at least 1 item"),
    ],
)
def test_kinds_that_cannot_be_drawn_are_told(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        GenerateSection.model_validate(given)


def test_corpora_of_former_versions_keep_their_key() -> None:
    former = {"seed", "images_per_category", "size", "defect_share", "categories"}
    assert GenerateSection().deciding.keys() == former
    later = GenerateSection(defects=("crack",), categories=("rail",), lines=2).deciding
    assert later.keys() == former | {"defects", "lines"}


def test_there_is_variety() -> None:
    assert len(CATEGORIES) >= 8
    assert len(DEFECTS) >= 8
    assert set(KINDS) == set(DEFECTS)
    assert {kind for _, kind in PAIRS} == set(DEFECTS)


@pytest.mark.parametrize(("category", "kind"), PAIRS)
def test_defect_is_visible_and_masked(category: str, kind: str) -> None:
    for index in range(3):
        sample = generate(5, index, size=SIZE, category=category, defect=kind)
        assert (sample.category, sample.defect) == (category, kind)
        assert sample.image.shape == (SIZE, SIZE, 3)
        assert sample.image.dtype == np.uint8
        assert sample.mask.dtype == np.bool_
        assert 3 <= sample.mask.sum() <= SIZE * SIZE
        normal = generate(5, index, size=SIZE, category=category, defect="normal")
        change = np.abs(sample.image.astype(int) - normal.image).max(-1)
        # The same (seed, index) without its defect is the same photograph.
        assert np.quantile(change[sample.mask], 0.75) >= 5
        if sample.mask.mean() < 0.5:
            assert change[sample.mask].mean() > 3 * change[~sample.mask].mean()


def test_normal_has_an_empty_mask() -> None:
    for index in range(5):
        sample = generate(1, index, size=SIZE, defect="normal")
        assert sample.defect is None
        assert not sample.mask.any()


def test_same_arguments_same_sample_others_differ() -> None:
    first, again = generate(3, 8, size=SIZE), generate(3, 8, size=SIZE)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)
    for other in (generate(3, 9, size=SIZE), generate(4, 8, size=SIZE)):
        assert not np.array_equal(first.image, other.image)


def test_defect_share_is_kept_and_all_categories_come() -> None:
    samples = [generate(2, index, size=32, defect_share=0.3) for index in range(200)]
    assert 0.2 < np.mean([sample.defect is not None for sample in samples]) < 0.4
    assert {sample.category for sample in samples} == set(CATEGORIES)
    assert all(s.defect is None or s.defect in CATEGORIES[s.category].defects for s in samples)
    assert all(generate(2, index, size=32, defect_share=0).defect is None for index in range(20))


def test_a_line_has_a_look_of_its_own() -> None:
    def level(seed: int) -> np.ndarray:
        images = [
            generate(seed, i, size=32, category="magnetic_tile", defect="normal").image for i in range(12)
        ]
        return np.array([image.mean() for image in images])

    lines = [level(seed) for seed in range(12)]
    within, between = np.mean([line.std() for line in lines]), np.std([line.mean() for line in lines])
    assert between > 0.5 * within  # lines differ
    assert within > 2  # and so do parts of one line


def test_odd_sizes_work() -> None:
    assert generate(0, 0, size=77).image.shape == (77, 77, 3)


def test_corpus_layout_and_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_corpus(
            tmp_path / name,
            seed=9,
            images_per_category=7,
            size=32,
            defect_share=0.9,
            categories=["rail", "casting"],
            normal_references=3,
        )
    first = digests(tmp_path / "a")
    assert first == digests(tmp_path / "b")
    for category in ("rail", "casting"):
        images = [path for path in first if path.startswith(category) and not path.endswith("_mask.png")]
        good = [path for path in images if path.startswith(f"{category}/good/")]
        masks = [path for path in first if path.startswith(category) and path.endswith("_mask.png")]
        assert len(images) == 7
        assert len(good) >= 3
        assert len(masks) == len(images) - len(good)
        for path in masks:
            mask = np.asarray(Image.open(tmp_path / "a" / path))
            image = np.asarray(Image.open(tmp_path / "a" / path.replace("_mask", "")))
            assert mask.shape == image.shape[:2]
            assert set(np.unique(mask)) == {0, 255}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"category": "rails"}, 'did you mean "rail"'),
        ({"category": "rail", "defects": ["dent"]}, "rail has none of the defects dent"),
        ({"defect": "crak"}, 'did you mean "crack"'),
        ({"size": 8}, "at least 32"),
        ({"seed": -1}, "negative"),
        ({"defect_share": 1.5}, "between 0 and 1"),
    ],
)
def test_bad_requests_are_told(changes: dict[str, object], told: str) -> None:
    arguments: dict[str, object] = {"seed": 0, "index": 0, "size": SIZE} | changes
    with pytest.raises(UserError, match=told):
        generate(**arguments)  # type: ignore[arg-type]


def test_corpus_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fewer than the 4 normal references"):
        write_corpus(tmp_path, seed=0, images_per_category=3, size=32, defect_share=0.5)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match="can't be written"):
        write_corpus(blocked, seed=0, images_per_category=4, size=32, defect_share=0.5)
