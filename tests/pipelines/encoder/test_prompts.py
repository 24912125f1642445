"""Prompt sets are exact; the library holds what is generated; bad prompt files are told in one sentence."""

import hashlib
import importlib
from pathlib import Path

import open_clip
import pytest
import yaml

from cluster.errors import UserError
from pipelines.category_names import category_key
from pipelines.encoder.prompts import (
    TEMPLATES,
    CategoryPrompts,
    DefectPrompt,
    PromptLibrary,
    load_library,
    prompt_states,
    sentences,
)
from pipelines.maps.section import MapsSection
from pipelines.surfaces.categories import CATEGORIES
from training.encoder.text import SentencePlaces

# The part of the library that the shipped encoder was trained on.
TRAINED_BYTES = 4801
TRAINED_DIGEST = "0fc1de9e5854b35147ff6e40806197e8cdd0c645db89f41581c3549bb3b62b03"
PUBLISHED = {
    "MVTec-AD": "bottle cable capsule carpet grid hazelnut leather metal_nut pill screw tile toothbrush "
    "transistor wood zipper",
    "VisA": "candle capsules cashew chewinggum fryum macaroni1 macaroni2 pcb1 pcb2 pcb3 pcb4 pipe_fryum",
    "others": "commutator surface steel_strip gc10 severstal magnetic_tile rubber_ring casting_xray",
    "DAGM2007": " ".join(f"dagm_class{number}" for number in range(1, 11)),
    "the paper's domain": "steel_sheet steel_plate steel_pipe rail billet aluminium_sheet casting fabric pcb "
    "gear bearing weld glass concrete solar_cell wafer",
}

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


def test_what_the_encoder_was_trained_on_stays_as_it_was() -> None:
    source = Path(importlib.import_module("pipelines.encoder").__file__ or "").with_name(
        "prompt_library.yaml"
    )
    trained = source.read_bytes()[:TRAINED_BYTES]
    assert hashlib.sha256(trained).hexdigest() == TRAINED_DIGEST
    before = PromptLibrary.model_validate(yaml.safe_load(trained))
    after = load_library().only(CATEGORIES)
    assert set(before.categories) == set(CATEGORIES)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    one, other = (SentencePlaces(library, tokenizer, 64, seed=5) for library in (before, after))
    for name in ("tokens", "places", "states", "known", "axis"):
        assert getattr(one, name).equal(getattr(other, name)), name
    assert set(load_library().categories) > set(CATEGORIES)  # so the restriction is what keeps it


@pytest.mark.parametrize("data_set", PUBLISHED)
def test_published_categories_have_prompts(data_set: str) -> None:
    library = load_library()
    for name in PUBLISHED[data_set].split():
        assert library.category(name).defects, name


def test_every_entry_is_well_formed() -> None:
    for key, prompts in load_library().categories.items():
        assert category_key(key) == key
        types = [defect.type for defect in prompts.defects]
        assert types, key
        assert len(set(types)) == len(types), key
        for words in (prompts.object, *types, *(defect.features for defect in prompts.defects)):
            assert words == words.strip(" .,"), (key, words)
            assert "{" not in words


def test_no_shipped_sentence_is_cut_off_by_the_text_tower() -> None:
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    library = load_library()
    longest = [max(sentences(library.category(key), True)[1], key=len) for key in library.categories]
    ends = tokenizer(longest)[:, -1]  # of 77 tokens; not padding where a sentence was cut
    assert not ends.any()


@pytest.mark.parametrize("name", ["Magnetic-Tile", "magnetic tile", "MAGNETIC_TILE"])
def test_a_category_is_found_however_it_is_spelt(name: str) -> None:
    assert load_library().category(name) == load_library().category("magnetic_tile")


def test_states_are_marked() -> None:
    normal, anomalous = prompt_states(DISC, defect_features=True)
    assert [state.words for state in normal[:2]] == ["disc", "flawless disc"]
    assert [state.defect for state in anomalous] == [None, None, None, None, "pit"]
    assert normal[1].sentences[0] == "a photo of a flawless disc."
    assert sentences(DISC, True)[1] == [text for state in anomalous for text in state.sentences]


def test_users_names_are_normalised_and_ambiguous_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("categories: {Magnetic-Tile: {object: ferrite tile}, My Part: {object: part}}")
    library = load_library(path)
    assert library.category("magnetic_tile").object == "ferrite tile"
    assert library.category("magnetic_tile").defects == load_library().category("magnetic_tile").defects
    assert library.category("my-part").object == "part"
    path.write_text("categories: {Magnetic-Tile: {object: a}, magnetic tile: {object: b}}")
    with pytest.raises(UserError, match=r"a\.yaml: .*names of one category \(magnetic_tile\)"):
        load_library(path)
    given = {"My-Part": DISC, "my part": DISC}
    with pytest.raises(UserError, match=r"^maps\.categories: .*my_part"):
        MapsSection(categories=given).library()
    assert MapsSection(categories={"Rail ": DISC}).library().category("rail") == DISC


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
