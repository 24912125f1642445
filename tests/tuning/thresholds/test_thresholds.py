"""Threshold search: components, metrics and fusion against plain references, and the search itself."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from benchmarks.threshold_trials import CATEGORIES, coarse, write_artifacts
from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.boxes.pseudo_boxes import (
    CategoryThreshold,
    PseudoBox,
    category_threshold,
    pseudo_boxes,
    smallest_area,
)
from pipelines.boxes.section import PseudoBoxSettings
from pipelines.maps.reading import upsample
from tests.pipelines.boxes.tied_components import SIDES, tied_boxes, tied_map
from training.metrics.coco import Detections, TrueObjects, average_precision, true_objects
from tuning.space import Dimension
from tuning.thresholds import metrics as threshold_metrics
from tuning.thresholds.component_table import component_table
from tuning.thresholds.curves import ALL, summit, threshold_curves
from tuning.thresholds.judged_maps import CategoryMaps, Judged, read_stored_maps
from tuning.thresholds.objective import FEW_WEIGHT, ThresholdObjective
from tuning.thresholds.picture import threshold_figure, threshold_picture
from tuning.thresholds.search import check_metric as metric_of, default_space, search


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def random_images(seed: int, count: int = 5, side: int = 31) -> Judged:
    rng = np.random.default_rng(seed)
    maps = rng.random((count, 6, 6)).astype(np.float32)
    pixels, boxes = [], []
    for _ in range(count):
        x, y, w, h = (int(v) for v in rng.integers(1, side // 2, 4))
        mask = np.zeros((side + 4, side), np.bool_)
        mask[y : y + h, x : x + w] = rng.random() < 0.7
        pixels.append(np.flatnonzero(mask))
        boxes.append(np.array([[x, y, x + w, y + h]] if mask.any() else [], np.float64).reshape(-1, 4))
    scores = rng.random(count)
    sizes = np.tile([side, side + 4], (count, 1))
    return Judged(maps, scores, sizes, np.zeros(count, np.bool_), tuple(pixels), tuple(boxes))


def boxes_of(
    judged: Judged, place: int, level: float, delta: float, knobs: PseudoBoxSettings
) -> list[PseudoBox]:
    """What the boxes stage itself would find."""
    width, height = (int(side) for side in judged.sizes[place])
    threshold = CategoryThreshold("c", len(judged), level, level, delta)
    return pseudo_boxes(
        judged.maps[place],
        float(judged.scores[place]),
        width=width,
        height=height,
        threshold=threshold,
        settings=knobs,
    )


def placed(corners: Any, score: float) -> PseudoBox:
    x0, y0, x1, y1 = (float(side) for side in corners)
    return PseudoBox(x0, y0, x1, y1, score)


@given(
    seed=st.integers(0, 10_000),
    level=st.floats(0.2, 0.95),
    delta=st.floats(0, 1),
    top_k=st.integers(1, 6),
    nms_iou=st.floats(0.05, 1),
    min_area=st.sampled_from([0, 3, 15, 60, "released"]),
)
@settings(max_examples=60, deadline=None)
def test_selected_components_are_the_boxes_stages_pseudo_boxes(
    pool: ThreadPoolExecutor,
    seed: int,
    level: float,
    delta: float,
    top_k: int,
    nms_iou: float,
    min_area: Any,
) -> None:
    judged = random_images(seed)
    knobs = PseudoBoxSettings(top_k=top_k, nms_iou=nms_iou, min_area=min_area)
    table = component_table(judged, level, pool)
    kept = table.selected(judged, delta=delta, top_k=top_k, nms_iou=nms_iou, min_area=min_area)
    for place in range(len(judged)):
        own = kept & (table.image == place)
        found = [placed(box, p) for box, p in zip(table.boxes[own], table.peak[own], strict=True)]
        assert found == boxes_of(judged, place, level, delta, knobs)


@pytest.mark.parametrize("limit", sorted(SIDES))
def test_components_that_overlap_by_exactly_the_limit_stay(pool: ThreadPoolExecutor, limit: float) -> None:
    judged = replace(random_images(0, count=1), maps=tied_map(limit)[None], sizes=np.array([[64, 64]]))
    table = component_table(judged, 0.5, pool)
    assert table.boxes.tolist() == [list(box) for box in tied_boxes(limit)]
    for chosen, wanted in ((limit, [True, True]), (limit - 0.01, [True, False])):
        kept = table.selected(judged, delta=-1.0, top_k=10, nms_iou=chosen, min_area=0)
        assert kept.tolist() == wanted


@given(seed=st.integers(0, 10_000), level=st.floats(0.2, 0.95), least=st.sampled_from([0, 20]))
@settings(max_examples=40, deadline=None)
def test_mask_iou_is_that_of_painted_masks(
    pool: ThreadPoolExecutor, seed: int, level: float, least: int
) -> None:
    judged = random_images(seed)
    hits = union = 0
    for place in range(len(judged)):
        width, height = (int(side) for side in judged.sizes[place])
        full = upsample(judged.maps[place], width, height)
        _, numbers, stats, _ = cv2.connectedComponentsWithStats((full >= np.float32(level)).astype(np.uint8))
        large = [n for n in range(1, len(stats)) if stats[n, cv2.CC_STAT_AREA] >= least]
        painted = np.isin(numbers, large)
        truth = np.zeros(height * width, np.bool_)
        truth[judged.pixels[place]] = True
        hits += int((painted.ravel() & truth).sum())
        union += int((painted.ravel() | truth).sum())
    table = component_table(judged, level, pool)
    kept = table.selected(judged, delta=0.0, top_k=1000, nms_iou=1.0, min_area=least)
    value = threshold_metrics.mask_iou(table, kept, judged)
    if not any(len(pixels) for pixels in judged.pixels):
        assert value is None
    else:
        assert value == pytest.approx(hits / union)


@given(seed=st.integers(0, 10_000), level=st.floats(0.3, 0.9))
@settings(max_examples=40, deadline=None)
def test_box_metrics_agree_with_coco_and_with_counting(
    pool: ThreadPoolExecutor, seed: int, level: float
) -> None:
    judged = random_images(seed, count=8)
    # Every other truth is one of the found boxes, a little moved, so that some do match.
    table = component_table(judged, level, pool)
    moved = list(judged.boxes)
    for place in range(0, 8, 2):
        own = table.boxes[table.image == place].astype(np.float64)
        moved[place] = own[: seed % 3] + np.array([0, 0, seed % 2, 0])
    judged = replace(judged, boxes=tuple(moved))
    table = component_table(judged, level, pool)
    kept = table.selected(judged, delta=0.0, top_k=1000, nms_iou=0.5, min_area=0)
    if not sum(len(boxes) for boxes in judged.boxes):
        assert threshold_metrics.box_ap50(table, kept, judged) is None
        return
    own_boxes = [table.boxes[kept & (table.image == place)].astype(np.float64) for place in range(8)]
    peaks = [table.peak[kept & (table.image == place)] for place in range(8)]
    zeros = [np.zeros(len(boxes), np.int64) for boxes in own_boxes]
    expected = average_precision(
        [TrueObjects(boxes, np.zeros(len(boxes), np.int64)) for boxes in judged.boxes],
        [Detections(b, p, z) for b, p, z in zip(own_boxes, peaks, zeros, strict=True)],
        ["anomaly"],
    )
    assert threshold_metrics.box_ap50(table, kept, judged) == pytest.approx(expected.map50, abs=1e-6)
    true_positives = 0
    for boxes, truth in zip(own_boxes, judged.boxes, strict=True):
        free = [tuple(box) for box in truth]
        for box in boxes:
            best = max(free, key=lambda other: iou(box, other), default=None)
            if best is not None and iou(box, best) >= 0.5:
                free.remove(best)
                true_positives += 1
    total = sum(map(len, own_boxes)) + sum(map(len, judged.boxes))
    assert threshold_metrics.box_f1(table, kept, judged) == pytest.approx(2 * true_positives / total)


def iou(a: Any, b: Any) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return float(inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter))


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, Storage]:
    folder = tmp_path_factory.mktemp("stored")
    corpus, maps = Storage.open(str(folder / "corpus")), Storage.open(str(folder / "maps"))
    write_artifacts(corpus, maps, 60, side=64, seed=3)
    return corpus, maps


@pytest.fixture(scope="module")
def stored(artifacts: tuple[Storage, Storage]) -> tuple[CategoryMaps, ...]:
    categories, kind = read_stored_maps(*artifacts)
    assert kind == "masks"
    return categories


def objective_over(
    categories: tuple[CategoryMaps, ...], pool: ThreadPoolExecutor, metric: str = "mask_iou"
) -> ThresholdObjective:
    return ThresholdObjective(
        categories, PseudoBoxSettings(), metric, score_share=1.0, few_weight=0.5, pool=pool
    )


def test_only_labelled_training_images_choose_and_references_never(stored: tuple[CategoryMaps, ...]) -> None:
    assert len(stored) == CATEGORIES
    # 60 images: 5 references, every seventh of the rest held out.
    assert sum(len(each.held_out) for each in stored) == 8
    assert sum(len(each.judged) for each in stored) == 47
    assert sum(len(each.maxima) for each in stored) == 52
    for each in stored:
        assert all(
            bool(len(p)) == bool(len(b)) for p, b in zip(each.judged.pixels, each.judged.boxes, strict=True)
        )


def test_without_labelled_defects_references_are_judged_as_normal(
    artifacts: tuple[Storage, Storage], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    corpus, maps = artifacts
    bare = Storage.open(str(tmp_path))
    bare.write_table("manifest", corpus.read_table("manifest"))
    bare.write_table("labels.parquet", corpus.read_table("labels.parquet").slice(0, 0))
    categories, kind = read_stored_maps(bare, maps)
    assert kind == "none"
    assert [int(each.judged.normal.sum()) for each in categories] == [1] * CATEGORIES
    objective = objective_over(categories, pool, "plausibility")
    figures = objective.measure({})
    assert set(figures) >= {"stability", "clean", "coverage", "plausibility", "boxes_per_image"}
    assert all(0 <= figures[name] <= 1 for name in ("stability", "clean", "coverage", "plausibility"))
    # A threshold below everything paints every pixel of every image, references too.
    flood = objective.measure({"boxes.delta": 0.0}, fixed=-1.0)
    assert (flood["coverage"], flood["clean"], flood["plausibility"]) == (1.0, 0.0, 0.0)


def test_trial_is_the_boxes_stage_with_those_settings(
    stored: tuple[CategoryMaps, ...], pool: ThreadPoolExecutor
) -> None:
    values = {"boxes.c": 0.25, "boxes.delta": "auto", "boxes.top_k": 2, "boxes.min_area": 30}
    knobs = PseudoBoxSettings(c=0.25, top_k=2, min_area=30)
    counted = []
    for each in stored:
        threshold = category_threshold(each.category, each.maxima.tolist(), each.scores.tolist(), knobs)
        found = sum(
            len(boxes_of(each.judged, place, threshold.threshold, threshold.delta, knobs))
            for place in range(len(each.judged))
        )
        counted.append(found / len(each.judged))
    figures = objective_over(stored, pool).trial(values).figures
    assert figures["boxes_per_image"] == pytest.approx(np.mean(counted))


def test_search_reaches_the_full_grids_best_and_repeats(
    stored: tuple[CategoryMaps, ...], pool: ThreadPoolExecutor
) -> None:
    space = default_space(stored, PseudoBoxSettings())
    assert {dimension.key for dimension in space} == {
        f"boxes.{name}" for name in ("c", "delta", "top_k", "nms_iou", "min_area")
    }
    objective = objective_over(stored, pool)
    small = tuple(d for d in coarse(space) if d.key in ("boxes.c", "boxes.delta", "boxes.min_area"))
    whole = search(objective, small, trials=0, seed=0, exhaustive=True)
    assert len(whole) == np.prod([len(d.points()) for d in small])
    found = search(objective, space, trials=120, seed=0)
    assert max(t.value for t in found) >= max(t.value for t in whole) - 0.005
    assert len({tuple(sorted(t.values.items(), key=str)) for t in found}) == len(found) <= 121
    again = search(objective_over(stored, pool), space, trials=120, seed=0)
    assert [t.values for t in again] == [t.values for t in found]


def test_fused_parts_are_what_the_maps_stage_would_store(
    stored: tuple[CategoryMaps, ...], pool: ThreadPoolExecutor
) -> None:
    rng = np.random.default_rng(0)
    each = stored[0]
    assert isinstance(each.judged.maps, np.ndarray)
    zero = each.judged.maps * rng.random(each.judged.maps.shape).astype(np.float32)
    parts = np.stack([zero, each.judged.maps - zero], 1)
    members = rng.random((len(each.maxima), 2, 4, 4)).astype(np.float32)
    whole = replace(
        each,
        judged=replace(each.judged, parts=parts),
        held_out=replace(each.held_out, parts=np.zeros((len(each.held_out), 2, *zero.shape[1:]), np.float32)),
        part_maps=members,
        maxima=members.sum(1).max((1, 2)).astype(np.float64),
    )
    half = whole.fused(0.5, 1.0)
    np.testing.assert_allclose(half.judged.maps, whole.judged.maps, atol=1e-6)
    np.testing.assert_allclose(half.judged.scores, whole.judged.scores, atol=1e-6)
    np.testing.assert_allclose(half.scores, whole.scores, atol=1e-6)
    few = whole.fused(1.0, 0.5)
    np.testing.assert_allclose(few.judged.maps, 2 * parts[:, 1], atol=1e-6)
    np.testing.assert_allclose(few.maxima, 2 * members[:, 1].max((1, 2)), atol=1e-6)
    np.testing.assert_allclose(few.scores, whole.scores + 0.5 * (few.maxima - whole.maxima), atol=1e-6)
    objective = objective_over((whole,), pool)
    assert objective.trial({FEW_WEIGHT: 0.5}).value == pytest.approx(objective.trial({}).value)
    with pytest.raises(ValueError, match="not stored"):
        each.fused(0.5, 1.0)


def test_curves_hold_the_papers_c_and_the_adaptive_one_survives_a_shift_of_level(
    stored: tuple[CategoryMaps, ...], pool: ThreadPoolExecutor
) -> None:
    curves = threshold_curves(objective_over(stored, pool), {})
    assert 0.1 in curves.c
    assert set(curves.adaptive) == {*(each.category for each in stored), ALL}
    best = curves.best()
    # The categories' maps differ in level alone: one threshold for all can't fit them, adaptive ones do.
    assert best["adaptive"]["value"] > best["fixed_one_for_all"]["value"]
    assert best["fixed_best_of_each"]["value"] >= best["fixed_one_for_all"]["value"]
    space = (Dimension("boxes.top_k", (1, 5)), Dimension("boxes.c", None, 0.0, 0.5))
    objective = objective_over(stored, pool)
    knobs = summit(objective, [objective.trial({"boxes.top_k": 5, "boxes.c": 0.1})], space, {}).knobs
    assert [point for point, _ in knobs["boxes.top_k"]] == [1, 5]
    png = threshold_picture(curves, knobs, {"boxes.top_k": 5, "boxes.c": 0.1})
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert min(image.shape[:2]) > 300
    assert image.std() > 5


@pytest.mark.parametrize("first", [0.0, 0.12, 0.5])
def test_no_point_of_the_picture_is_better_than_what_is_chosen(
    stored: tuple[CategoryMaps, ...], pool: ThreadPoolExecutor, first: float
) -> None:
    """Whatever the search began with: it goes to a better point, and draws the curves there."""
    space = (
        Dimension("boxes.c", None, 0.0, 0.5),
        Dimension("boxes.delta", ("auto", 0.0, 0.9)),
        Dimension("boxes.min_area", (0, 50, 500)),
    )
    objective = objective_over(stored, pool)
    begin = objective.trial({"boxes.c": first, "boxes.delta": 0.9, "boxes.min_area": 0})
    announced: list[int] = []
    points: list[int] = []

    @contextmanager
    def shown(count: int) -> Iterator[Callable[[], object]]:
        announced.append(count)
        yield lambda: points.append(1)

    top = summit(objective, [begin], space, {}, shown=shown)
    assert sum(announced) == len(points) == len(top.trials) - 1
    assert top.best.value >= begin.value
    for key, curve in top.knobs.items():
        assert dict(curve)[top.best.values[key]] == top.best.value == max(value for _, value in curve)
        for point, value in curve:
            assert value == objective_over(stored, pool).trial({**top.best.values, key: point}).value


def test_a_setting_that_makes_no_difference_stays_the_projects_own(
    stored: tuple[CategoryMaps, ...], pool: ThreadPoolExecutor
) -> None:
    space = (
        Dimension("boxes.delta", (0.0, 0.9)),
        Dimension("boxes.nms_iou", (0.3, 0.8, 0.9)),
        Dimension("boxes.top_k", (1, 10, 50)),
    )
    objective = objective_over(stored, pool)
    own = {"boxes.delta": 0.0, "boxes.nms_iou": 0.8, "boxes.top_k": 10}
    begin = objective.trial({"boxes.delta": 0.9, "boxes.nms_iou": 0.9, "boxes.top_k": 50})
    best = summit(objective, [begin], space, own).best
    every = [
        objective.trial(dict(zip(own, values, strict=True)))
        for values in product((0.0, 0.9), (0.3, 0.8, 0.9), (1, 10, 50))
    ]
    assert best.value == max(trial.value for trial in every)
    for key, value in own.items():  # what differs from the project's own is better for it
        assert best.values[key] == value or objective.trial({**best.values, key: value}).value < best.value


def test_the_picture_says_which_settings_do_nothing(
    stored: tuple[CategoryMaps, ...], pool: ThreadPoolExecutor
) -> None:
    curves = threshold_curves(objective_over(stored, pool), {})
    knobs: dict[str, list[tuple[Any, float]]] = {
        "boxes.c": [(0.0, 0.01293), (0.1, 0.4)],
        "boxes.nms_iou": [(0.5, 0.012930), (0.7, 0.012931)],
        "boxes.min_area": [(0, 0.4), (10, 0.4)],
    }
    figure = threshold_figure(curves, knobs, {"boxes.c": 0.1, "boxes.nms_iou": 0.7, "boxes.min_area": 0})
    figure.canvas.draw()
    c, nms, area = figure.axes[2:]
    assert [[text.get_text() for text in axes.texts] for axes in (c, nms, area)] == [
        [],
        ["moves it by 1e-06 at most"],
        ["makes no difference here"],
    ]
    assert c.get_ylim() == nms.get_ylim() == area.get_ylim()
    assert {axes.yaxis.get_offset_text().get_text() for axes in (c, nms, area)} == {""}


@given(seed=st.integers(0, 10_000), level=st.floats(0.3, 0.9))
@settings(max_examples=40, deadline=None)
def test_boxes_in_ignored_regions_count_as_coco_counts_them(
    pool: ThreadPoolExecutor, seed: int, level: float
) -> None:
    judged = random_images(seed, count=4)
    regions = tuple(
        np.array([[0, 0, 18, 20]] if place % 2 else [], np.float64).reshape(-1, 4) for place in range(4)
    )
    table = component_table(replace(judged, ignored=regions), level, pool)
    kept = table.selected(judged, delta=0.0, top_k=1000, nms_iou=0.5, min_area=0)
    of_image = [kept & (table.image == place) for place in range(4)]
    zeros = [np.zeros(int(chosen.sum()), np.int64) for chosen in of_image]
    truth = sum(len(boxes) for boxes in judged.boxes)
    if not truth:
        return
    expected = average_precision(
        [
            true_objects(boxes, np.zeros(len(boxes), np.int64), region, np.zeros(len(region), np.int64))
            for boxes, region in zip(judged.boxes, regions, strict=True)
        ],
        [
            Detections(table.boxes[chosen].astype(np.float64), table.peak[chosen], labels)
            for chosen, labels in zip(of_image, zeros, strict=True)
        ],
        ("defect",),
    )
    assert threshold_metrics.box_ap50(table, kept, judged) == pytest.approx(expected.map50, abs=1e-6)


def test_metrics_follow_the_truth() -> None:
    assert [metric_of(None, kind) for kind in ("masks", "boxes", "none")] == [
        "mask_iou",
        "box_f1",
        "plausibility",
    ]
    with pytest.raises(UserError, match='did you mean "mask_iou"'):
        metric_of("maskiou", "masks")
    with pytest.raises(UserError, match="boxes but no masks; valid here: box_f1, box_ap50"):
        metric_of("mask_iou", "boxes")


def test_released_least_area_goes_by_the_images_own_size() -> None:
    assert smallest_area("released", 640, 640) == 36
    assert smallest_area("released", 64, 64) == 10
    assert smallest_area(7, 640, 640) == 7
