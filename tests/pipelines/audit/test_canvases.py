"""Which images are painted on, with what, and where not."""

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings, strategies as st

from pipelines.audit.canvases import ENOUGH, Canvas, assigned, choose_canvases, loud_boxes
from pipelines.audit.section import AuditSection
from pipelines.maps import upsample
from pipelines.painting import KINDS, PaintSettings
from pipelines.painting.painter import paint


def row(number: int, **changes: Any) -> Any:
    known = {"category": "plate", "split": "train", "role": "train", "width": 64, "height": 64}
    return {"image_id": f"{number:032x}", "uri": f"{number}.png", "levels": None, **known, **changes}


def label(image_id: str, boxes: list[Any]) -> Any:
    return {"image_id": image_id, "boxes": boxes, "mask": None, "ignored": []}


DEFECT = {"x0": 0.0, "y0": 0.0, "x1": 9.0, "y1": 9.0, "label": "dent"}


def ids(canvases: list[Canvas]) -> set[int]:
    return {int(canvas.row["image_id"], 16) for canvas in canvases}


def test_neither_held_out_images_nor_compared_references_nor_unmapped_ones_are_painted_on() -> None:
    manifest = [row(1, split="test"), row(2, role="reference"), row(3), row(4), row(5, category="rail")]
    labels = {each["image_id"]: label(each["image_id"], []) for each in manifest[:1]}
    mapped = {each["image_id"] for each in manifest if each["uri"] != "4.png"}
    for compared in (True, False):
        chosen = choose_canvases(manifest, labels, mapped, references_are_compared=compared, images=9, seed=0)
        assert ids(chosen["plate"]) == ({3} if compared else {2, 3})
        assert ids(chosen["rail"]) == {5}
        assert all(canvas.normal == (canvas.row["role"] == "reference") for canvas in chosen["plate"])


def test_a_category_with_nothing_to_paint_on_has_its_key() -> None:
    chosen = choose_canvases([row(1, split="test")], {}, [], references_are_compared=True, images=9, seed=0)
    assert chosen == {"plate": []}


def test_enough_normal_images_stand_alone_and_few_are_joined_by_others() -> None:
    for normals in (ENOUGH - 1, ENOUGH):
        manifest = [row(number) for number in range(30)]
        labels = {each["image_id"]: label(each["image_id"], []) for each in manifest[:normals]}
        last = manifest[-1]["image_id"]
        labels[last] = label(last, [DEFECT])
        mapped = [each["image_id"] for each in manifest]
        chosen = choose_canvases(manifest, labels, mapped, references_are_compared=True, images=20, seed=1)[
            "plate"
        ]
        normal = [canvas for canvas in chosen if canvas.normal]
        assert ids(normal) == set(range(normals))
        assert chosen[: len(normal)] == normal
        assert len(chosen) == (ENOUGH if normals == ENOUGH else 20)


@settings(max_examples=60, deadline=None)
@given(images=st.integers(0, 40), kinds=st.integers(1, len(KINDS)), count=st.integers(1, 200))
def test_images_are_painted_as_often_kinds_nearly_so_and_no_pair_twice(
    images: int, kinds: int, count: int
) -> None:
    canvases = [Canvas(row(number), True) for number in range(images)]
    pairs = assigned(canvases, KINDS[:kinds], count)
    names = [canvas.name(kind) for canvas, kind in pairs]
    assert len(names) == len(set(names)) == min(count, images * kinds)
    # Each whole turn of the images gives a window of the kinds one more, and the windows move on by one: two
    # kinds are apart by K / 2 at most, and by one more in a turn that is not whole.
    apart = 1 if count <= images else kinds // 2 + 1
    for most, counts in (
        (1, Counter(canvas.row["image_id"] for canvas, _ in pairs)),
        (apart, Counter(kind for _, kind in pairs)),
    ):
        if pairs:
            assert max(counts.values()) - min(counts.values()) <= most


def test_nothing_is_painted_where_the_image_stands_out_already() -> None:
    rng = np.random.default_rng(5)
    anomaly_map = rng.normal(0, 0.05, (15, 15)).astype(np.float32)
    anomaly_map[3:7, 4:9] += 2
    loud = loud_boxes(anomaly_map, 240, 240)
    raised = upsample((anomaly_map - np.median(anomaly_map)) / anomaly_map.std(), 240, 240) >= 1
    inside = np.zeros((240, 240), bool)
    for x0, y0, x1, y1 in loud.astype(int):
        inside[y0:y1, x0:x1] = True
    assert raised.any()
    assert (inside | ~raised).all()
    image = rng.integers(90, 160, (240, 240), dtype=np.uint8)
    section = AuditSection(seed=1)
    for kind in ("crack", "pit"):
        one: PaintSettings = section.painted(kind)
        painted = paint(image, seed=1, image_id=kind, settings=one, avoid=loud)
        assert not (painted.mask & raised).any()
    assert loud_boxes(np.ones((15, 15), np.float32), 240, 240).shape == (0, 4)
