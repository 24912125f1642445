"""Verdicts on starts, settings and detectors that find nothing."""

import math

import pytest

from cluster.verdicts import StartFigures, behind_another, chosen_settings, compare_starts, finds_nothing

SCRATCH = StartFigures("scratch", 0.30, 0.50)


def test_both_zero_is_no_level_end() -> None:
    told = compare_starts(
        [StartFigures("scratch", 0.0, 0.0), StartFigures("agssp", math.nan, 0.0)], boxes=100, interval=(0, 0)
    )
    assert told.verdict == "zero"
    assert "No start finds anything" in told.sentence
    assert "level" not in told.sentence


@pytest.mark.parametrize(("boxes", "said"), [(7, "7 boxes"), (1, "1 box,"), (29, "29 boxes")])
def test_few_test_boxes_allow_no_claim(boxes: int, said: str) -> None:
    told = compare_starts([SCRATCH, StartFigures("agssp", 0.6, 0.9)], boxes=boxes, interval=(0.1, 0.5))
    assert told.verdict == "few"
    assert said in told.sentence


def test_equal_starts_end_level_only_by_an_interval_with_0() -> None:
    agssp = StartFigures("agssp", 0.30, 0.50)
    assert compare_starts([SCRATCH, agssp], boxes=30, interval=(0.0, 0.0)).verdict == "tie"
    assert compare_starts([SCRATCH, agssp], boxes=30, interval=(-0.1, 0.1)).verdict == "tie"
    assert compare_starts([SCRATCH, agssp], boxes=30).verdict == "none"
    near = StartFigures("agssp", 0.309, 0.51)
    assert compare_starts([SCRATCH, near], boxes=3000, interval=(0.002, 0.016)).verdict == "gain"
    assert compare_starts([SCRATCH, near], boxes=3000, interval=(-0.002, 0.02)).verdict == "tie"


def test_a_registered_detector_behind_another_start_is_named() -> None:
    starts = [StartFigures("scratch", 0.018, 0.033), StartFigures("agbp", 0.043, 0.056)]
    told = behind_another([*starts, StartFigures("agssp", 0.011, 0.023)], "agssp")
    assert told is not None
    assert told.kind == "registered_behind"
    assert "start agssp, with 1.1 mAP@0.5:0.95; that of agbp reaches 4.3" in told.sentence
    assert "finetune.starts=[agbp]" in told.sentence
    assert behind_another([*starts, StartFigures("agssp", 0.043, 0.9)], "agssp") is None  # as good
    assert behind_another([*starts, StartFigures("agssp", None, None)], "agssp") is not None
    assert behind_another(starts[:1], "scratch") is None


def test_the_other_metric_is_told_where_it_points_elsewhere() -> None:
    told = compare_starts([SCRATCH, StartFigures("agssp", 0.309, 0.42)], boxes=300, interval=(-0.02, 0.04))
    assert told.verdict == "tie"
    assert "at mAP@0.5 scratch is ahead by 8.0" in told.sentence
    told = compare_starts([SCRATCH, StartFigures("agssp", 0.2, 0.6)], boxes=300, interval=(-0.2, -0.05))
    assert told.verdict == "loss"
    assert "at mAP@0.5 agssp is ahead by 10.0" in told.sentence


def test_thresholds_that_find_next_to_nothing_are_no_suggestion() -> None:
    told = chosen_settings("mask_iou", 0.013, 0.007)
    assert told is not None
    assert told.kind == "nearly_all_wrong"
    same = chosen_settings("mask_iou", 0.5, 0.495)
    assert same is not None
    assert same.kind == "no_better"
    lost = chosen_settings("box_f1", 0.5, 0.3, held_out=(0.2, 0.25))
    assert lost is not None
    assert "held-out" in lost.sentence
    assert chosen_settings("box_f1", 0.5, 0.3, held_out=(0.45, 0.3)) is None
    assert chosen_settings("plausibility", 0.04, 0.01, measured=False) is None


def test_a_detector_of_no_or_unknown_ap_finds_nothing() -> None:
    for value, kind in ((0.0, "zero_ap"), (math.nan, "unknown_ap"), (None, "unknown_ap")):
        told = finds_nothing("map50", value, "line")
        assert told is not None
        assert told.kind == kind
    assert finds_nothing("map50", 1e-3, "line") is None


@pytest.mark.parametrize("metric", ["map50", "mAP@0.5:0.95", "map50_95", "recall", "ap50", "small"])
def test_a_share_of_0_finds_nothing(metric: str) -> None:
    told = finds_nothing(metric, 0.0, "line")
    assert told is not None
    assert told.kind == "zero_ap"


@pytest.mark.parametrize("metric", ["neg_loss", "correlation", "log_likelihood", "score"])
@pytest.mark.parametrize("value", [0.0, -3.5])
def test_other_figures_may_be_0_or_less(metric: str, value: float) -> None:
    assert finds_nothing(metric, value, "line") is None


def test_a_gain_within_its_interval_is_no_reason() -> None:
    held_out = (0.45, 0.40)
    told = chosen_settings("box_f1", 0.5, 0.3, held_out=held_out, interval=(-0.01, 0.11))
    assert told is not None
    assert told.kind == "no_better"
    assert "held-out images" in told.sentence
    assert "+0.0500, 95 % interval -0.0100 to +0.1100" in told.sentence
    assert chosen_settings("box_f1", 0.5, 0.3, held_out=held_out, interval=(0.01, 0.11)) is None
    alone = chosen_settings("box_f1", 0.5, 0.3, interval=(0.0, 0.4))
    assert alone is not None
    assert "images of the search themselves" in alone.sentence


def test_settings_are_not_taken_on_the_word_of_a_few_images() -> None:
    told = chosen_settings("f1", 0.9, 0.2, too_few=True)
    assert told is not None
    assert told.kind == "too_few"
    assert "at least 6" in told.sentence
    assert chosen_settings("f1", 0.9, 0.2, interval=(0.5, 0.8)) is None
