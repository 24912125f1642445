"""Prompt sets are exact; the library holds what is generated; bad prompt files are told in one sentence."""

from pathlib import Path

import pytest

from cluster.errors import UserError
from pipelines.prompts import TEMPLATES, CategoryPrompts, DefectPrompt, load_library, sentences
from pipelines.surfaces.categories import CATEGORIES

DISC = CategoryPrompts(object="disc", defects=(DefectPrompt(type="pit", features="small {holes}"),))


def test_sets_without_defect_features() -> None:
    normal, anomalous = sentences(DISC, defect_features=False)
    assert (len(normal), len(anomalous)) == (7 * len(TEMPLATES), 4 * len(TEMPLATES))
    assert "a photo of a disc." in normal
    assert "a photo of the unblemished disc for visual inspection." in normal
    assert "a cropped photo of the disc without any damage." in normal
    assert "a close-up photo of the damaged disc." in anomalous
    assert "a photo of a disc with damage for visual inspection." in anomalous
    assert not set(normal) & set(anomalous)


def test_defect_features_are_one_state_more_per_defect() -> None:
    normal, anomalous = sentences(DISC, defect_features=True)
    plain_normal, plain = sentences(DISC, defect_features=False)
    assert normal == plain_normal
    assert anomalous[: len(plain)] == plain
    assert len(anomalous) == len(plain) + len(TEMPLATES)
    assert anomalous[len(plain)] == "a photo of a disc with pit defect, it appears as small {holes}."


def test_templates_are_about_twenty_and_distinct() -> None:
    assert 18 <= len(TEMPLATES) == len(set(TEMPLATES)) <= 25
    assert all(template.count("{}") == 1 for template in TEMPLATES)


def test_library_describes_every_generated_defect() -> None:
    library = load_library()
    for name, recipe in CATEGORIES.items():
        types = {defect.type.replace(" ", "_") for defect in library.category(name).defects}
        assert types == set(recipe.defects), name
    assert {d.type for d in library.category("magnetic_tile").defects} == {
        "blowhole", "break", "crack", "fray", "uneven",
    }  # fmt: skip
    assert {d.type for d in library.category("steel_strip").defects} == {
        "crazing", "inclusion", "patches", "pitted surface", "rolled-in scale", "scratches",
    }  # fmt: skip


def test_unknown_category_names_the_nearest_and_the_remedy() -> None:
    with pytest.raises(
        UserError, match=r'"magnetic_tiles" \(did you mean "magnetic_tile"\?\); add it'
    ) as told:
        load_library().category("magnetic_tiles")
    assert "categories.magnetic_tiles" in str(told.value)


def test_user_files_are_laid_over_in_turn(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("categories: {disc: {object: brake disc}, rail: {object: crane rail}}")
    second.write_text("categories: {disc: {defects: [{type: pit, features: holes}]}}")
    library = load_library(first, second)
    assert library.category("disc") == CategoryPrompts(
        object="brake disc", defects=(DefectPrompt(type="pit", features="holes"),)
    )
    assert library.category("rail").object == "crane rail"
    assert library.category("rail").defects == load_library().category("rail").defects
    assert library.category("billet") == load_library().category("billet")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("categories: [", "not valid YAML"),
        ("- a list", "mapping"),
        ("categories: {disc: {object: 7}}", "disc.object"),
        ("categories: {disc: {}}", "disc.object"),
        ("categories: {disc: {object: ''}}", "disc.object"),
        ("categories: {disc: {object: disc, defect: []}}", "defect"),
        ("categories: {disc: {object: disc, defects: [{type: pit}]}}", "features"),
        ("categories: {disc: {object: disc, defects: pit}}", "disc.defects"),
        ("category: {}", "unknown key"),
        ("categories: {disc: null}", "disc"),
        ("categories: &a {disc: *a}", "not valid YAML"),
        ("categories: {1: {object: disc}}", "categories"),
    ],
)
def test_bad_files_are_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "prompts.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"prompts\.yaml") as error:
        load_library(path)
    assert told in str(error.value)


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml"):
        load_library(tmp_path / "none.yaml")
