"""The Python API: every name is found, images are mapped without Ray, steps go by the CLI's config."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import agssp
from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.image_maps import Mapper, anomaly_maps, boxes_of
from pipelines.images.reading import ImageError, read_image
from pipelines.maps.build import build_method
from pipelines.maps.rows import category_states, decode_rows, map_batch
from pipelines.maps.section import MapsSection
from pipelines.surfaces.generator import write_corpus
from tests.pipelines.tiny_encoder import tiny_encoder
from tests.repository import ROOT
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.prediction.few_images import detect
from training.prediction.predict import ImagePrediction, UnreadableImage
from training.starts.detector_file import save_detector
from training.steps import load_detector, load_project


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Seven generated castings, 48 px; the last has another size."""
    folder = tmp_path_factory.mktemp("surfaces")
    write_corpus(folder, seed=3, images_per_category=6, size=48, defect_share=0.5, categories=["casting"])
    found = sorted(str(path) for path in folder.rglob("*.png") if "mask" not in path.stem)
    wide = folder / "wide.png"
    Image.open(found[0]).resize((64, 40)).save(wide)
    return [*found, str(wide)]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder is one of random weights, built from its config; loading is all that is left out."""
    monkeypatch.setattr("pipelines.maps.build.load_encoder", lambda *_, **__: tiny_encoder())


def names() -> set[str]:
    return {name for names in agssp.API.values() for name in names}


def test_every_name_is_found_and_a_misspelt_one_is_not() -> None:
    for name in names():
        assert getattr(agssp, name).__doc__
    assert names() <= set(dir(agssp))
    with pytest.raises(AttributeError, match="anomaly_map'"):
        _ = agssp.anomaly_map  # type: ignore[attr-defined]


def test_type_checkers_see_the_same_names() -> None:
    (block,) = [
        node
        for node in ast.parse((ROOT / "agssp.py").read_text()).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    ]
    told: dict[str | None, set[str]] = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        told.setdefault(statement.module, set()).update(alias.asname or "" for alias in statement.names)
    assert told == {module: set(names) for module, names in agssp.API.items()}


def stage_rows(section: MapsSection, images: list[str], references: list[str]) -> dict[str, Any]:
    """What the maps stage's workers do with these images, by its own steps."""
    method = build_method(section, "cpu")
    table = pa.table(
        {
            "image_id": images,
            "uri": images,
            "category": ["casting"] * len(images),
            **{
                side: pa.array([read_image(uri).shape[axis] for uri in images], pa.int32())
                for axis, side in ((1, "width"), (0, "height"))
            },
        }
    )
    states = category_states(method, section, {"casting": references})
    done = map_batch(method, states, decode_rows(table, method.encoder.image_size))
    maps = done.column("map").combine_chunks().to_numpy_ndarray()
    return {**done.drop_columns(["map"]).to_pydict(), "map": maps}


@pytest.mark.parametrize("shots", [0, 2])
def test_three_images_have_the_stages_maps(tiny: None, pictures: list[str], shots: int) -> None:
    *references, first, second, third = pictures
    found = anomaly_maps([first, Path(second), third], "casting", references=references[:shots])
    section = MapsSection.model_validate({"kead": {"shots": shots}})
    expected = stage_rows(section, [first, second, third], references)
    assert [one.uri for one in found] == [first, second, third]
    for place, one in enumerate(found):
        assert (one.width, one.height) == (expected["width"][place], expected["height"][place])
        assert one.score == expected["score"][place]
        np.testing.assert_array_equal(one.map, expected["map"][place])
        assert one.map.dtype == np.float32
        assert one.upsampled().shape == (one.height, one.width)
    assert len({one.score for one in found}) == 3


def test_pixels_and_batches_change_nothing(tiny: None, pictures: list[str]) -> None:
    mapper = Mapper({"casting": pictures[:2]}, {"kead": {"shots": 2}, "batch_size": 2})
    by_path = mapper(pictures, "casting")
    by_pixels = mapper([read_image(uri) for uri in pictures], "casting")
    assert by_pixels[1].uri == "image 1"
    for one, other in zip(by_path, by_pixels, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-6)
        np.testing.assert_allclose(one.map, other.map, atol=1e-3)  # float16
    assert mapper([], "casting") == []
    stacked = mapper(np.stack([read_image(uri) for uri in pictures[:3]]), "casting")
    assert [one.score for one in stacked] == [one.score for one in by_pixels[:3]]


def test_references_may_be_pixels(tiny: None, pictures: list[str]) -> None:
    by_path = anomaly_maps(pictures[3:], "casting", references=pictures[:2])
    by_pixels = anomaly_maps(pictures[3:], "casting", references=[read_image(uri) for uri in pictures[:2]])
    mixed = anomaly_maps(pictures[3:], "casting", references=[pictures[0], read_image(pictures[1])])
    zero = anomaly_maps(pictures[3:], "casting")
    for one, *others, unlike in zip(by_path, by_pixels, mixed, zero, strict=True):
        for other in others:
            assert one.score == other.score
            np.testing.assert_array_equal(one.map, other.map)
        assert not np.array_equal(one.map, unlike.map)


def test_boxes_of_maps_are_those_above_the_categorys_threshold(tiny: None, pictures: list[str]) -> None:
    found = anomaly_maps(pictures, "casting", references=pictures[:2])
    loose, strict = boxes_of(found, {"delta": 0.0, "c": 0.5}), boxes_of(found, {"delta": 0.0, "c": 0.0})
    mean_max = np.mean([one.map.max() for one in found])
    for one, boxes in zip(found, strict, strict=True):
        assert bool(boxes) == (one.upsampled().max() >= mean_max)
        assert all(0 <= box.x0 < box.x1 <= one.width and 0 <= box.y0 < box.y1 <= one.height for box in boxes)
    assert sum(map(len, strict)) < sum(map(len, loose)) or all(loose)
    assert boxes_of(found, {"delta": 9.0}) == [[] for _ in found]


def test_one_map_has_the_boxes_of_a_list_of_one(tiny: None, pictures: list[str]) -> None:
    (alone,) = anomaly_maps(pictures[:1], "casting")
    boxes = boxes_of(alone, {"delta": 0.0})
    assert boxes
    assert [boxes] == boxes_of([alone], {"delta": 0.0}) == boxes_of(iter([alone]), {"delta": 0.0})


def test_faults_are_one_sentence(tiny: None, pictures: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no prompts for category "castin"'):
        anomaly_maps(pictures[:1], "castin")
    with pytest.raises(UserError, match=r'maps: unknown key "kead\.shot"; did you mean "shots"'):
        anomaly_maps(pictures[:1], "casting", maps={"kead": {"shot": 1}})
    with pytest.raises(UserError, match="has 0 normal references, 4 are needed"):
        anomaly_maps(pictures[:1], "casting", maps={})
    with pytest.raises(ImageError, match=rf"^{tmp_path}/none\.png: file is missing$"):
        anomaly_maps([pictures[0], tmp_path / "none.png"], "casting")
    with pytest.raises(UserError, match=rf"reference can't be read: {tmp_path}/none\.png: file is missing"):
        anomaly_maps(pictures[:1], "casting", references=[tmp_path / "none.png"])
    with pytest.raises(ValueError, match=r'reference 1 of "casting" is uint8 \(4, 40, 3\); give .* 8 a side'):
        anomaly_maps(pictures[:1], "casting", references=[pictures[1], np.zeros((4, 40, 3), np.uint8)])
    for single in (pictures[0], Path(pictures[0]), read_image(pictures[0])):
        with pytest.raises(UserError, match=r"^images must be a list of images; give \[image\]"):
            anomaly_maps(single, "casting")  # type: ignore[arg-type]
        with pytest.raises(UserError, match=r"^references must be a list of images"):
            anomaly_maps(pictures[:1], "casting", references=single)  # type: ignore[arg-type]
        with pytest.raises(UserError, match=r'^references of "casting" must be a list'):
            Mapper({"casting": single})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"image 0 is float64 \(4, 4\)"):
        anomaly_maps([np.zeros((4, 4))], "casting")  # type: ignore[list-item]
    with pytest.raises(UserError, match='no references for "rail"'):
        Mapper({"casting": []}, {"kead": {"shots": 0}})(pictures[:1], "rail")


def test_maps_start_no_ray(pictures: list[str]) -> None:
    """With the shipped encoder, in a process of its own."""
    code = (
        "import sys, agssp\n"
        f"found = agssp.anomaly_maps({pictures[:3]!r}, 'casting', references={pictures[3:5]!r})\n"
        "print(len(found), found[0].map.ndim, 'ray' in sys.modules, 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["3", "2", "False", "False"]


def test_configs_merge_as_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "project.yaml"
    file.write_text("name: line\nseed: 1\nboxes: {c: 0.3}\n")
    project = load_project("boxes.c=0.5", file, {"seed": 2, "boxes": {"top_k": 3}})
    assert (project.name, project.seed, project.boxes.c, project.boxes.top_k) == ("line", 2, 0.5, 3)
    assert load_project(project, {"seed": 4}).boxes == project.boxes
    assert load_project("recipe:demo").name == "demo"
    with pytest.raises(
        UserError, match=rf'Config file {file}: unknown key "boxes.topk"; did you mean "top_k"'
    ):
        load_project(str(file), {"boxes": {"topk": 3}})
    with pytest.raises(UserError, match="holds a login"):
        load_project({"tracking": {"uri": "postgresql://ann:secret@db/mlflow"}})


def test_detections_come_in_the_images_order(pictures: list[str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    fresh = build_detector("yolov8n", ("dent",), Preprocessing(64, "square"))
    save_detector(fresh, Storage.open(str(tmp_path)), "detector.safetensors", {})
    detector = load_detector(tmp_path / "detector.safetensors")
    assert detector.classes == ("dent",)
    first, lost, wide = detect(detector, [pictures[0], tmp_path / "none.png", pictures[-1]], min_score=1e-4)
    assert isinstance(lost, UnreadableImage)
    assert "missing" in lost.reason
    assert isinstance(first, ImagePrediction)
    assert isinstance(wide, ImagePrediction)
    assert (first.uri, wide.uri) == (pictures[0], pictures[-1])
    assert (wide.width, wide.height) == (64, 40)
    assert len(first.boxes) == len(first.scores) > 0
    (alone,) = detect(detector, [pictures[0]], min_score=1e-4)
    assert isinstance(alone, ImagePrediction)
    np.testing.assert_allclose(alone.boxes, first.boxes, atol=0.05)
    by_pixels, again = detect(detector, [read_image(pictures[-1]), pictures[0]], min_score=1e-4)
    assert isinstance(by_pixels, ImagePrediction)
    assert (by_pixels.uri, again.uri) == ("image 0", pictures[0])
    np.testing.assert_allclose(by_pixels.boxes, wide.boxes, atol=0.05)
    with pytest.raises(UserError, match="images must be a list"):
        detect(detector, pictures[0])
    with pytest.raises(ValueError, match=r"image 0 is float64 \(9, 9, 3\)"):
        detect(detector, [np.zeros((9, 9, 3))])  # type: ignore[list-item]
    (strict,) = detect(detector, [pictures[0]])
    assert isinstance(strict, ImagePrediction)
    assert (strict.scores >= 0.25).all()


def test_files_of_more_than_8_bits_are_seen_as_in_the_training(tmp_path: Path) -> None:
    """By the detector's black and white, computed here with NumPy, not by the file's own extremes."""
    values = np.random.default_rng(0).integers(800, 1_600, (48, 64)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "plate.png")
    torch.manual_seed(0)
    detector = build_detector("yolov8n", ("pit",), Preprocessing(64, "square"))
    detector.levels = (200.0, 3_900.0)
    grey = ((values - 200.0) / 3_700 * 255).round().astype(np.uint8)
    plate, pixels = detect(detector, [tmp_path / "plate.png", np.stack([grey] * 3, 2)], min_score=1e-4)
    assert isinstance(plate, ImagePrediction)
    assert isinstance(pixels, ImagePrediction)
    assert len(plate.boxes) > 0
    np.testing.assert_array_equal(plate.boxes, pixels.boxes)
    np.testing.assert_array_equal(plate.scores, pixels.scores)
