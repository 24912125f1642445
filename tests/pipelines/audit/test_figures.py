"""Counts and figures of an audit against plain loops over boxes, with whole images drawn anew."""

from typing import Any

import numpy as np
import pytest

from pipelines.audit.candidates import candidates
from pipelines.audit.figures import CategoryTally
from pipelines.audit.judging import judge_rows, judged_image, size_classes
from pipelines.audit.truth import agreement, spearman
from pipelines.boxes import PseudoBoxSettings
from pipelines.boxes.pseudo_boxes import CategoryThreshold, pseudo_boxes
from tests.pipelines.audit.scenes import SIDE, blob_rows

EVERY = CategoryThreshold("plate", 1, 1.0, 0.9, 0.0)
RULE = PseudoBoxSettings.model_validate(
    {"rule": "standardised", "delta": 0, "standardised": {"cut": 2, "least_share": 0, "most_regions": 5}}
)


def iou(one: Any, other: Any) -> float:
    """IoU of two boxes by their pixels."""
    masks = []
    for x0, y0, x1, y1 in (one, other):
        mask = np.zeros((SIDE, SIDE), bool)
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
        masks.append(mask)
    return float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def drawn(row: Any, name: str) -> list[Any]:
    anomaly_map = row[name].to_numpy().astype(np.float32)
    boxes = pseudo_boxes(anomaly_map, 1.0, width=SIDE, height=SIDE, threshold=EVERY, settings=RULE)
    return [(box.x0, box.y0, box.x1, box.y1) for box in boxes]


@pytest.mark.parametrize("normal", [True, False])
def test_counts_are_those_of_a_loop_over_the_boxes(normal: bool) -> None:
    table = blob_rows(levels=False, normal=normal, own=True)
    judged = judge_rows(table, [RULE], {"plate": [EVERY]}).to_pylist()
    totals = {"right": 0, "wrong": 0, "left_out": 0}
    for place, row in enumerate(judged):
        columns = {name: table.column(name)[place] for name in ("map", "plain_map", "boxes")}
        truth = [tuple(box[side] for side in ("x0", "y0", "x1", "y1")) for box in columns["boxes"].as_py()]
        before = drawn(columns, "plain_map")
        expected = {"right": 0, "wrong": 0, "left_out": 0}
        for box in drawn(columns, "map"):
            if iou(box, truth[0]) >= 0.5 and not expected["right"]:
                expected["right"] += 1
                continue
            area = (box[2] - box[0]) * (box[3] - box[1])
            inside = [
                max(min(box[2], other[2]) - max(box[0], other[0]), 0)
                * max(min(box[3], other[3]) - max(box[1], other[1]), 0)
                / area
                for other in before
            ]
            there = not normal and max(inside, default=0.0) >= 0.5
            expected["left_out" if there else "wrong"] += 1
        assert {name: sum(row[name]) for name in expected} == expected
        assert sum(row["plain"]) == len(before)
        for name, count in expected.items():
            totals[name] += count
    others = totals["wrong"] if normal else totals["left_out"]
    assert totals["right"] == others == table.num_rows  # the painted one, and the image's own


def test_a_box_in_an_ignored_region_of_a_labelled_image_is_neither_right_nor_wrong() -> None:
    table = blob_rows(levels=False)
    row = table.drop_columns(["map", "plain_map"]).slice(0, 1).to_pylist()[0]
    anomaly_map = table.column("map").combine_chunks().to_numpy_ndarray()[0].astype(np.float32)
    labelled = {**row, "kind": None, "boxes": [], "ignored": row["boxes"]}
    counts = judged_image(labelled, anomaly_map, anomaly_map, [RULE], [EVERY])
    bare = judged_image({**labelled, "ignored": []}, anomaly_map, anomaly_map, [RULE], [EVERY])
    assert sum(counts["left_out"]) >= 1
    assert sum(counts["wrong"]) == sum(bare["wrong"]) - sum(counts["left_out"])


def tally_of(rng: np.random.Generator, images: int, copies: int) -> CategoryTally:
    """A category with counts at random: some right, some wrong, one defect each."""
    rows, judged = [], []
    for place in range(images * copies):
        side = float(rng.choice([0.5, 2, 5]))
        box = {"x0": 0.0, "y0": 0.0, "x1": side, "y1": side}
        rows.append(
            {
                "kind": ("crack", "pit")[place % 2],
                "normal": True,
                "original": f"{place % images}",
                "boxes": [box],
                "width": 10,
                "height": 10,
            }
        )
        size = int(size_classes(np.array([[0, 0, side, side]]), 1.0)[0])
        right = np.zeros((2, 3), int)
        right[:, size] = rng.integers(0, 2, 2)
        judged.append(
            {
                "right": right.ravel().tolist(),
                "wrong": rng.integers(0, 3, 6).tolist(),
                "left_out": [0] * 6,
                "overlap": (0.7 * right).ravel().tolist(),
                "plain": rng.integers(0, 2, 6).tolist(),
            }
        )
    return CategoryTally(rows, judged, 2, 100)


def test_figures_are_ratios_of_sums_and_their_groups_take_them_apart() -> None:
    tally = tally_of(np.random.default_rng(0), 8, 2)
    groups = tally.groups()
    assert list(groups) == ["all", "size small", "size medium", "size large", "kind crack", "kind pit"]
    for images, sizes in groups.values():
        figures = tally.figures(images, sizes)
        right = tally.counts["right"][images][:, :, sizes].sum(axis=(0, 2))
        wrong = tally.counts["wrong"][images][:, :, sizes].sum(axis=(0, 2))
        defects = tally.defects[images][:, sizes].sum()
        assert figures.defects == defects
        np.testing.assert_allclose(figures.values["precision"], right / (right + wrong))
        np.testing.assert_allclose(figures.values["recall"], right / defects)
        precision, recall = figures.values["precision"], figures.values["recall"]
        np.testing.assert_allclose(figures.values["f1"], 2 * precision * recall / (precision + recall))
        np.testing.assert_allclose(figures.values["iou"], 0.7)
    parts = [tally.figures(*groups[f"size {size}"]).defects for size in ("small", "medium", "large")]
    assert sum(parts) == tally.figures(*groups["all"]).defects == 16


def test_boxes_on_a_normal_image_as_it_was_are_wrong_and_on_any_other_are_not() -> None:
    for normal in (True, False):
        table = blob_rows(levels=False, normal=normal, own=True)
        judged = judge_rows(table, [RULE], {"plate": [EVERY]}).to_pylist()
        rows = table.drop_columns(["map", "plain_map"]).to_pylist()
        tally = CategoryTally(rows, judged, 1, SIDE * SIDE)
        figures = tally.figures(*tally.groups()["all"])
        plain = sum(sum(row["plain"]) for row in judged)
        assert plain >= len(rows)  # the image's own bright place, each time
        wrong = sum(sum(row["wrong"]) for row in judged)
        right = sum(sum(row["right"]) for row in judged)
        expected = right + wrong + (plain if normal else 0)
        assert figures.boxes.tolist() == [expected]
        assert np.isnan(tally.plain_boxes()).all() != normal
        if normal:
            assert tally.plain_boxes().tolist() == [plain / len(rows)]


def test_intervals_hold_the_figure_and_copies_of_an_image_are_drawn_together() -> None:
    rng = np.random.default_rng(1)
    tally = tally_of(rng, 30, 1)
    figures = tally.figures(*tally.groups()["all"])
    for name in ("precision", "recall", "f1"):
        assert (figures.lows[name] <= figures.values[name]).all()
        assert (figures.values[name] <= figures.highs[name]).all()
    # The same images five times over say no more than once: the interval is as wide.
    again = CategoryTally.__new__(CategoryTally)
    for name in ("kinds", "normal", "originals", "defects", "plain"):
        setattr(again, name, np.concatenate([getattr(tally, name)] * 5))
    again.counts = {name: np.concatenate([counts] * 5) for name, counts in tally.counts.items()}
    repeated = again.figures(*again.groups()["all"])
    for name in ("precision", "recall", "f1"):
        np.testing.assert_allclose(repeated.lows[name], figures.lows[name])
        np.testing.assert_allclose(repeated.highs[name], figures.highs[name])


def test_all_of_a_few_images_are_no_certainty() -> None:
    rng = np.random.default_rng(4)
    tally = tally_of(rng, 5, 1)
    for right in (0.0, 1.0):  # one defect an image, one box: all wrong, or all right
        tally.defects[:] = [1, 0, 0]
        for name, value in (("right", right), ("wrong", 1 - right), ("overlap", right)):
            tally.counts[name][:] = [value, 0, 0]
        figures = tally.figures(*tally.groups()["all"])
        reach = 1.959963984540054**2 / (5 + 1.959963984540054**2)  # Wilson's interval of 0 of 5 ends there
        alike = (0, reach) if right == 0 else (1 - reach, 1)
        for name in ("precision", "recall", "f1"):
            assert figures.values[name].tolist() == [right] * len(figures.values[name])
            np.testing.assert_allclose(figures.lows[name], alike[0], atol=1e-12)
            np.testing.assert_allclose(figures.highs[name], alike[1], atol=1e-12)
        assert np.isnan(figures.lows["iou"]).all()  # overlaps are no share of images


def test_one_image_gives_no_interval_and_nothing_gives_no_figure() -> None:
    tally = tally_of(np.random.default_rng(2), 1, 4)
    figures = tally.figures(*tally.groups()["all"])
    assert np.isnan(figures.lows["f1"]).all()
    none = tally.figures(np.zeros(4, bool), np.ones(3, bool))
    assert none.defects == 0
    assert np.isnan(none.values["f1"]).all()


def test_sizes_are_counted_in_patches_of_the_map() -> None:
    boxes = np.array([[0, 0, 9, 10], [0, 0, 10, 10], [0, 0, 29, 31], [0, 0, 30, 30]], float)
    assert size_classes(boxes, 100.0).tolist() == [0, 1, 1, 2]


def test_spearman_is_pearsons_of_the_ranks() -> None:
    first, second = [0.1, 0.4, 0.4, 0.2, 0.9], [0.3, 0.1, 0.5, 0.2, 0.8]
    ranks = [
        [(sum(o < v for o in each) + sum(o <= v for o in each) + 1) / 2 for v in each]
        for each in (first, second)
    ]
    assert spearman(first, second) == pytest.approx(np.corrcoef(np.array(ranks))[0, 1])
    assert spearman([0.5, 0.5], [0.1, 0.2]) is None


def test_agreement_is_told_for_categories_with_labels_alone() -> None:
    tally = tally_of(np.random.default_rng(4), 40, 1)
    rows = [
        {"category": name, "part": part, "f1": f1, "true_f1": true, "chosen": f1 == 0.5}
        for name in ("plate", "rail")
        for part in ("all", "kind pit")
        for f1, true in ((0.5, 0.25 if name == "plate" else None), (0.25, 0.75 if name == "plate" else None))
    ]
    (told,) = agreement(rows, {"plate": tally})["agreement"].items()
    halves = [tally.figures(np.arange(40) % 2 == half, np.ones(3, bool)).values["f1"] for half in (0, 1)]
    assert told == (
        "plate",
        {
            "spearman": pytest.approx(-1),
            "labels_agree": pytest.approx(spearman(*(each.tolist() for each in halves))),
            "true_f1": 0.25,
            "best_true_f1": 0.75,
        },
    )
    assert agreement([row for row in rows if row["category"] == "rail"], {}) == {}


def test_every_candidate_has_its_place() -> None:
    tried = candidates(PseudoBoxSettings())
    table = blob_rows(levels=False, images=1)
    row = judge_rows(table, tried, {"plate": [EVERY] * len(tried)}).to_pylist()[0]
    assert len(row["right"]) == len(row["plain"]) == 3 * len(tried)
