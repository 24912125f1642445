"""A detector in tiles: objects found as in the whole image, once each, whatever borders cut them."""

import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import ndimage
from torch import nn

from cluster.errors import UserError
from cluster.on_ray.section import RaySection
from cluster.on_ray.session import ray_session
from cluster.stages.site import Site
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.corpus.image_paths import find_images
from pipelines.images.reading import content_hash, read_image
from tests.silent_tracking import SilentPipeline
from training.evaluation.section import EvaluateSection
from training.metrics.coco import Detections
from training.models.detectors.base import Detector, Stages, build_detector
from training.models.letterbox import Preprocessing
from training.models.look_section import LookSection
from training.models.tile_section import DetectorTiles
from training.prediction.few_images import detect
from training.prediction.predict import ImagePrediction, predict
from training.prediction.readiness import look_as
from training.prediction.rows import PREDICTED, predict_tiled_rows
from training.prediction.seams import joined_over_seams
from training.prediction.section import PredictSection
from training.prediction.stage import predict_images
from training.prediction.tiled import detect_tiled
from training.starts.detector_file import load_detector, save_detector
from training.starts.model_source import open_model
from training.weights.files import load_weights, save_weights

CPU = torch.device("cpu")
MOST = 40  # candidates of an input
INPUT = 64


class Components(Detector):
    """Finds the connected regions brighter than 127 in an input: a detector that is never wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.architecture, self.classes, self.nms_iou = "components", ("bright",), 0.5
        self.preprocessing = Preprocessing(INPUT, "letterbox")
        self.inputs: list[int] = []  # of each call, those of a copy among them

    def candidates(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        boxes, scores = torch.zeros(len(images), MOST, 1, 4), torch.zeros(len(images), MOST, 1)
        self.inputs.append(len(images))
        for number, image in enumerate(images.mean(1).numpy()):
            found = ndimage.find_objects(ndimage.label(image > 0.5)[0])
            for place, (rows, columns) in enumerate(found[:MOST]):
                corners = (columns.start, rows.start, columns.stop, rows.stop)
                boxes[number, place, 0] = torch.tensor(corners, dtype=torch.float32)
                scores[number, place] = 0.9
        return boxes, scores

    def forward(self, images: torch.Tensor, targets: object) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        raise NotImplementedError

    def stages(self, count: int) -> Stages:
        raise NotImplementedError

    def part_of(self, key: str) -> str:  # type: ignore[override]
        raise NotImplementedError


def picture(width: int, height: int, objects: list[tuple[int, int, int, int]]) -> npt.NDArray[np.uint8]:
    image = np.zeros((height, width, 3), np.uint8)
    for x0, y0, x1, y1 in objects:
        image[y0:y1, x0:x1] = 255
    return image


def rows(boxes: npt.NDArray[np.float64]) -> list[tuple[float, ...]]:
    return sorted(tuple(float(side) for side in box) for box in boxes)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(64, 400),
    height=st.integers(64, 300),
    overlap=st.floats(0.2, 0.6),
    seed=st.integers(0, 10_000),
)
def test_every_object_is_found_once_and_whole(width: int, height: int, overlap: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    objects: list[tuple[int, int, int, int]] = []
    for _ in range(6):  # bars that may cross many tiles, and spots, far enough apart
        x0, y0 = int(rng.integers(0, width - 5)), int(rng.integers(0, height - 5))
        long, thin = int(rng.integers(5, 150)), int(rng.integers(5, 14))
        across, down = (long, thin) if rng.random() < 0.5 else (thin, long)
        box = x0, y0, min(width, x0 + across), min(height, y0 + down)
        apart = all(
            box[0] > other[2] + 6 or other[0] > box[2] + 6 or box[1] > other[3] + 6 or other[1] > box[3] + 6
            for other in objects
        )
        if apart and min(box[2] - box[0], box[3] - box[1]) >= 5:
            objects.append(box)
    image = picture(width, height, objects)
    cut = LookSection(tiles=64, tile_overlap=overlap)
    found = detect_tiled(look_as(cut, Components().eval()), image, device=CPU, batch_size=3)
    np.testing.assert_allclose(rows(found.boxes), [tuple(map(float, box)) for box in sorted(objects)])


def test_an_image_that_is_not_cut_gives_what_it_gave() -> None:
    detector = Components().eval()
    image = picture(70, 60, [(5, 6, 30, 20), (40, 30, 60, 50)])
    (whole,) = predict(detector, {"a": image}, device=CPU)
    (cut,) = predict(look_as(LookSection(tiles="auto"), detector), {"a": image}, device=CPU)
    assert isinstance(whole, ImagePrediction)
    assert isinstance(cut, ImagePrediction)
    np.testing.assert_array_equal(whole.boxes, cut.boxes)
    np.testing.assert_array_equal(whole.scores, cut.scores)


@pytest.mark.parametrize(
    ("image", "tiles", "shape", "stretched", "tile"),
    [
        ((70, 60), "auto", (64, 64), False, (70, 60)),
        ((80, 80), "auto", (64, 64), False, (80, 80)),
        ((81, 40), "auto", (64, 64), False, (64, 40)),
        ((1600, 256), "auto", (64, 64), False, (64, 64)),
        ((1600, 256), "off", (64, 64), False, (1600, 256)),
        ((1600, 256), 640, (64, 64), False, (640, 256)),
        ((1600, 256), 640, (64, 64), True, (256, 256)),  # a part would be stretched
        ((6400, 256), "auto", (256, 1600), False, (1600, 256)),
        ((6400, 512), 800, (256, 1600), True, (800, 128)),
        ((100, 90), 256, (64, 64), False, (100, 90)),
        ((5, 4000), 64, (64, 64), True, (5, 5)),
    ],
)
def test_a_tiles_sides(
    image: tuple[int, int], tiles: Any, shape: tuple[int, int], stretched: bool, tile: tuple[int, int]
) -> None:
    assert DetectorTiles(tiles=tiles).size(*image, shape, stretched) == tile


def detections(boxes: list[list[float]], scores: list[float], labels: list[int] | None = None) -> Detections:
    named = np.array(labels or [0] * len(scores), np.int64)
    return Detections(np.array(boxes, np.float64).reshape(-1, 4), np.array(scores), named)


TILES = [(0, 0, 100, 100), (75, 0, 175, 100)]


@pytest.mark.parametrize(
    ("left", "right", "boxes"),
    [
        # The two halves of a scratch.
        (([[20, 40, 100, 50]], [0.8]), ([[75, 41, 150, 50]], [0.7]), [[20, 40, 150, 50]]),
        # A part and the whole: the whole alone, of whichever has the better score.
        (([[80, 40, 100, 50]], [0.9]), ([[80, 40, 120, 50]], [0.6]), [[80, 40, 120, 50]]),
        # A guess of hardly any score moves no border of a sure box.
        (([[20, 40, 100, 50]], [0.01]), ([[80, 40, 120, 50]], [0.9]), [[80, 40, 120, 50]]),
        # Two objects that both end at the seam, one above the other.
        (([[20, 10, 100, 20]], [0.9]), ([[75, 60, 150, 70]], [0.9]), [[20, 10, 100, 20], [75, 60, 150, 70]]),
        # The same object, whole in both tiles.
        (([[80, 40, 95, 60]], [0.9]), ([[80, 40, 95, 61]], [0.8]), [[80, 40, 95, 60]]),
    ],
)
def test_what_two_tiles_say_of_a_place(
    left: tuple[list[list[float]], list[float]],
    right: tuple[list[list[float]], list[float]],
    boxes: list[list[float]],
) -> None:
    found = joined_over_seams([detections(*left), detections(*right)], TILES, (175, 100), 0.5)
    assert rows(found.boxes) == [tuple(box) for box in sorted(boxes)]


def test_other_classes_are_not_joined_and_the_best_come_first() -> None:
    one = detections([[20, 40, 100, 50], [5, 5, 9, 9]], [0.5, 0.9], [0, 0])
    found = joined_over_seams([one, detections([[75, 40, 150, 50]], [0.7], [1])], TILES, (175, 100), None)
    assert found.scores.tolist() == [0.9, 0.7, 0.5]
    assert found.labels.tolist() == [0, 1, 0]
    nothing = joined_over_seams([detections([], []), detections([], [])], TILES, (175, 100), 0.5)
    assert len(nothing.scores) == 0


def test_rows_are_read_and_cut_and_a_bad_one_says_why(tmp_path: Path) -> None:
    image = picture(300, 40, [(10, 10, 20, 20), (30, 5, 280, 15)])
    cv2.imwrite(str(tmp_path / "strip.png"), image)
    (tmp_path / "bad.png").write_bytes(b"nothing")
    section = PredictSection(tiles=64, min_score=0.3)
    detector = look_as(section, Components().eval())
    done = predict_tiled_rows(find_images(str(tmp_path)), detector, CPU, section)
    assert done.schema.equals(PREDICTED)
    bad, strip = sorted(done.to_pylist(), key=lambda row: str(row["name"]))
    assert "not an image" in bad["error"]
    assert bad["boxes"] == []
    assert (strip["width"], strip["height"], strip["error"]) == (300, 40, None)
    assert strip["image_id"] == content_hash((tmp_path / "strip.png").read_bytes())
    assert sorted((box["x0"], box["x1"]) for box in strip["boxes"]) == [(10, 20), (30, 280)]


def test_a_line_scan_is_seen_in_bounded_memory() -> None:
    components = Components().eval()
    detector = look_as(LookSection(tiles=640), components)
    image = picture(12_000, 4_000, [(100, 100, 11_000, 140), (5_000, 3_000, 5_030, 3_030)])
    tracemalloc.start()
    found = detect_tiled(detector, image, device=CPU, batch_size=16)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.scores) == 2
    assert sum(components.inputs) == 25 * 8
    assert most < 32 << 20  # beside the image, which was there before


def test_tiles_decide_the_boxes_where_there_are_any() -> None:
    assert "tiles" not in PredictSection().deciding
    assert "tiles" not in PredictSection().model_dump(mode="json")
    assert PredictSection(tiles="off").deciding == {**PredictSection().deciding, "tiles": "off"}
    assert PredictSection(tile_overlap=0.5).deciding != PredictSection().deciding
    assert PredictSection(tiles=64).deciding == PredictSection(tiles=64, tile_overlap=0.25).deciding
    assert PredictSection(tiles=64).deciding != PredictSection(tiles=64, tile_overlap=0.5).deciding
    assert EvaluateSection().deciding == {"min_score": EvaluateSection().min_score}
    assert EvaluateSection(tiles="auto", batch_size=3).deciding == EvaluateSection(tiles="auto").deciding
    assert EvaluateSection(tiles="auto").deciding != EvaluateSection().deciding


def test_a_detector_is_looked_through_as_it_learnt_unless_told_otherwise() -> None:
    learnt = DetectorTiles(tiles=320, tile_overlap=0.4)
    assert LookSection().cut(learnt) == learnt
    assert LookSection().cut(DetectorTiles()) == DetectorTiles()
    assert LookSection(tile_overlap=0.1).cut(learnt) == DetectorTiles(tiles=320, tile_overlap=0.1)
    assert LookSection(tiles="auto").cut(learnt) == DetectorTiles(tiles="auto")
    assert LookSection(tiles="off").cut(learnt) == DetectorTiles()


@pytest.mark.parametrize("written", ["auto", {"tiles": 5}, {"tiles": "auto", "more": 1}, [64]])
def test_a_file_whose_tiles_cannot_be_read_is_refused(written: object, tmp_path: Path) -> None:
    detector = build_detector("yolov8n", ("crack",), Preprocessing(64, "letterbox"))
    detector.cut = DetectorTiles(tiles=64, tile_overlap=0.5)
    save_detector(detector, Storage.open(str(tmp_path)), "d.safetensors", {})
    file = tmp_path / "d.safetensors"
    assert load_detector(file).cut == detector.cut
    state, metadata = load_weights(file)
    save_weights(file, state, {**metadata, "tiles": written})
    with pytest.raises(UserError, match="does not tell how its training cut images into tiles"):
        load_detector(file)


def test_detect_cuts_as_the_detector_learnt_and_leaves_it_as_it_was(tmp_path: Path) -> None:
    image = picture(300, 40, [(10, 10, 20, 20), (30, 5, 280, 15)])
    detector = Components().eval()
    detector.cut = DetectorTiles(tiles=64)
    (found,) = detect(detector, [image])
    assert isinstance(found, ImagePrediction)
    assert rows(found.boxes) == [(10, 10, 20, 20), (30, 5, 280, 15)]
    assert sum(detector.inputs) > 1
    cut = sum(detector.inputs)
    detect(detector, [image], tiles="off")
    assert sum(detector.inputs) == cut + 1
    assert detector.cut == DetectorTiles(tiles=64)
    with pytest.raises(ValueError, match="tiles"):
        detect(detector, [image], tiles=3)


def test_the_stage_finds_in_tiles_what_one_image_after_another_finds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = build_detector("yolov8n", ("crack", "hole"), Preprocessing(64, "letterbox")).eval()
    state = detector.state_dict()
    for key in state:  # so that an untrained one finds something
        if detector.part_of(key) == "classes" and key.endswith("bias"):
            nn.init.zeros_(state[key])
    detector.cut = DetectorTiles(tiles=64)  # which its file says
    save_detector(detector, Storage.open(str(tmp_path)), "d.safetensors", {})
    photos, rng = tmp_path / "photos", np.random.default_rng(0)
    photos.mkdir()
    for number in range(3):
        cv2.imwrite(str(photos / f"{number}.png"), rng.integers(0, 255, (60, 90 + 70 * number, 3), np.uint8))
    (photos / "bad.png").write_bytes(b"nothing")
    files = find_images(str(photos))
    workspace = Storage.open(str(tmp_path / "workspace"))
    site = Site(workspace, SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {}))
    section = PredictSection(min_score=0.4, batch_size=3)
    with ray_session(RaySection()), open_model(str(tmp_path / "d.safetensors"), pytest.fail) as model:
        made = predict_images(section, files=files, model=model, site=site)
        assert predict_images(section, files=files, model=model, site=site).reused
        whole = predict_images(
            PredictSection(tiles="off", min_score=0.4), files=files, model=model, site=site
        )
    assert made.fingerprint != whole.fingerprint
    assert (made.results["images"], made.results["quarantined"]) == (3, 1)
    found = {row["uri"]: row["boxes"] for row in made.directory.read_table("predictions.parquet").to_pylist()}
    for number in range(3):
        uri = str(photos / f"{number}.png")
        image = read_image(uri)
        want = detect_tiled(detector, image, device=CPU, batch_size=9, min_score=0.4)
        assert len(want.scores) > 0
        corners = [[box[side] for side in ("x0", "y0", "x1", "y1")] for box in found[uri]]
        np.testing.assert_allclose(corners, want.boxes, atol=0.05)
        np.testing.assert_allclose([box["score"] for box in found[uri]], want.scores, atol=1e-4)
        assert (Path(made.directory.path) / "drawn" / f"{number}.jpg").is_file()


def test_looking_in_another_way_leaves_the_detector_of_others_as_it_was() -> None:
    detector = Components().eval()
    looking = look_as(LookSection(tiles=64, flips=("lr",)), detector)
    assert (looking.cut.tiles, looking.flips) == (64, ("lr",))
    assert (detector.cut.tiles, detector.flips) == ("off", ())
    assert all(
        one is other
        for one, other in zip(looking.modules(), detector.modules(), strict=True)
        if one is not looking
    )
