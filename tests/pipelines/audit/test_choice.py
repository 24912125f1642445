"""The rule that suits maps of a known kind is chosen; where nothing can be chosen, the reason is said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.audit.candidates import candidates, settings_words, words
from pipelines.audit.choice import choose
from pipelines.audit.figures import CategoryTally, Figures
from pipelines.audit.judging import judge_rows
from pipelines.boxes import PseudoBoxSettings, category_thresholds
from tests.pipelines.audit.scenes import SIDE, blob_rows

OWN = PseudoBoxSettings()


def audited(
    rows: pa.Table, tried: tuple[PseudoBoxSettings, ...]
) -> tuple[CategoryTally, Figures, dict[str, Any]]:
    """Counts and figures of everything painted; thresholds come from the images as they were."""
    maxima = [max(one.as_py()) for one in rows.column("plain_map").combine_chunks().storage]
    statistics = pa.table(
        {"category": rows.column("category"), "score": rows.column("plain_score"), "map_max": maxima}
    )
    thresholds = {"plate": [category_thresholds(statistics, settings)["plate"] for settings in tried]}
    judged = judge_rows(rows, tried, thresholds).to_pylist()
    listed = rows.drop_columns(["map", "plain_map"]).to_pylist()
    tally = CategoryTally(listed, judged, len(tried), SIDE * SIDE)
    return tally, tally.figures(*tally.groups()["all"]), thresholds


def test_a_blob_at_levels_of_its_own_takes_a_rule_that_measures_each_map_by_itself() -> None:
    tried = candidates(OWN)
    tally, figures, _ = audited(blob_rows(levels=True), tried)
    choice = choose("plate", tally, figures, tried)
    assert choice.place is not None
    assert tried[choice.place].rule in ("standardised", "hysteresis")
    assert figures.values["f1"][choice.place] == 1.0
    best_paper = max(f1 for f1, each in zip(figures.values["f1"], tried, strict=True) if each.rule == "paper")
    assert best_paper < 0.5
    assert choice.sentence.startswith('"plate" takes rule=')
    assert words(tried[choice.place]) in choice.sentence
    assert "the configured rule=paper c=0.1 delta=auto reaches" in choice.sentence
    assert "can't tell" not in choice.sentence


def test_of_rules_that_do_alike_the_configured_one_stays() -> None:
    cuts = {"low": 2, "high": 4.5}  # above the noise, below the blob
    own = PseudoBoxSettings.model_validate({"rule": "hysteresis", "delta": 0, "hysteresis": cuts})
    tried = candidates(own)
    tally, figures, _ = audited(blob_rows(levels=True), tried)
    assert figures.values["f1"][0] == 1.0
    choice = choose("plate", tally, figures, tried)
    assert choice.place == 0
    assert choice.sentence.endswith("it is the configured one.")


def test_where_scores_are_probabilities_numbers_are_tried_as_delta() -> None:
    plain, more = candidates(OWN), candidates(OWN, probabilities=True)
    assert more[: len(plain)] == plain
    added = more[len(plain) :]
    assert {each.rule for each in added} == {"paper"}
    assert {each.delta for each in added} == {0.7, 0.8, 0.9, 0.95}
    assert {each.c for each in added} >= {0.0, 0.1, 0.3}


@pytest.mark.parametrize("images", [1, 2])
def test_too_few_images_choose_nothing(images: int) -> None:
    tried = candidates(OWN)[:3]
    tally, figures, _ = audited(blob_rows(levels=False, images=images), tried)
    choice = choose("plate", tally, figures, tried)
    assert choice.place is None
    assert f"{2 * images} painted defects on {images} images" in choice.sentence
    # Of one image nothing is known of others; of two only where they agree, and then little.
    assert np.isnan(figures.lows["f1"]).all() == (images == 1)
    widths = (figures.highs["f1"] - figures.lows["f1"])[~np.isnan(figures.lows["f1"])]
    assert (widths > 0.6).all()


def test_maps_that_show_nothing_choose_nothing() -> None:
    tried = candidates(OWN)[:3]
    tally, figures, _ = audited(blob_rows(levels=True), tried)
    nothing = replace(figures, values={**figures.values, "f1": np.zeros(3)})
    choice = choose("plate", tally, nothing, tried)
    assert choice.place is None
    assert choice.sentence.startswith("No rule draws a box around any of the 24 defects")


def test_candidates_are_each_once_with_the_configured_first() -> None:
    for rule in ("paper", "standardised", "hysteresis"):
        own = PseudoBoxSettings(rule=rule, delta=0.7, nms_iou=0.4)
        tried = candidates(own)
        assert tried[0] == own
        assert len(set(tried)) == len(tried) > 60
        assert {each.rule for each in tried} == {"paper", "standardised", "hysteresis"}
        assert {each.delta for each in tried} == {0.7, 0.0}
        assert {each.nms_iou for each in tried} == {0.4}
    assert candidates(PseudoBoxSettings(rule="auto")) == candidates(PseudoBoxSettings())


def test_words_are_what_one_would_write() -> None:
    settings = PseudoBoxSettings.model_validate(
        {"rule": "standardised", "delta": 0, "standardised": {"cut": 2, "most_regions": 1}}
    )
    assert words(settings) == "rule=standardised cut=2 most_regions=1 delta=0"
    assert settings_words(settings.model_dump_json()) == words(settings)
    assert words(PseudoBoxSettings(top_k=3)) == "rule=paper c=0.1 top_k=3 delta=auto"
