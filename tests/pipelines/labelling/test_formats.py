"""Every format read by a parser of its own, after its description, and by packages that are here."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image

from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.labelling.names import FORMATS
from pipelines.labelling.voc import whole_pixels
from pipelines.labelling.writing import ExportOptions, export_boxes
from pipelines.tables.schemas import PREDICTIONS

Export = Callable[..., Mapping[str, Any]]
CLASSES = ("crack & <hole>", 'say "no": yes', "ü漢")
BOXES = [(2.25, 4.0, 12.5, 24.75, 0.875, CLASSES[2]), (20.0, 10.0, 48.0, 32.0, 0.5, CLASSES[0])]
NAMES = ("a.png", "x/a.png", "x/images/b #1 & 50%.png")  # the first has both boxes, the others none


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """A function that exports predictions of three images; keywords replace names, boxes or options."""

    def write(
        to: str, names: tuple[str, ...] = NAMES, boxes: Any = BOXES, classes: Any = CLASSES, **options: Any
    ) -> Mapping[str, Any]:
        rows = []
        for number, name in enumerate(names):
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((32, 48, 3), number, np.uint8)).save(path, "PNG")
            keys = ("x0", "y0", "x1", "y1", "score", "label")
            found = [dict(zip(keys, box, strict=True)) for box in boxes] if number == 0 else []
            rows.append(
                {"image_id": str(number), "uri": str(path), "width": 48, "height": 32, "boxes": found}
            )
        source = Storage.open(str(tmp_path / "stage"))
        source.write_table("predictions.parquet", pa.Table.from_pylist(rows, schema=PREDICTIONS))
        request = ExportOptions(to, str(tmp_path / "out"), **options)
        roots = [str(tmp_path / "photos")]
        return export_boxes(source, "predictions.parquet", request, roots=roots, classes=classes, model="m@1")

    return write


def test_label_studio_has_percentages_scores_and_a_config(export: Export, tmp_path: Path) -> None:
    export("label-studio", classes=(*CLASSES, "d"), url="/data/local-files/?d=line-3")
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    places = [parse_qs(urlsplit(task["data"]["image"]).query)["d"] for task in tasks]
    assert places == [[f"line-3/{name}"] for name in NAMES]
    (first,), (second,) = (task["predictions"] for task in tasks[:2])
    assert (first["model_version"], first["score"]) == ("m@1", 0.875)
    assert second["result"] == []
    assert len({result["id"] for result in first["result"]}) == 2
    for result, (x0, y0, x1, y1, score, label) in zip(first["result"], BOXES, strict=True):
        value = result["value"]
        assert (result["original_width"], result["original_height"], result["score"]) == (48, 32, score)
        assert value["rectanglelabels"] == [label]
        place = [value["x"] * 0.48, value["y"] * 0.32, value["width"] * 0.48, value["height"] * 0.32]
        np.testing.assert_allclose(place, [x0, y0, x1 - x0, y1 - y0])
    config = ElementTree.parse(tmp_path / "out/config.xml").getroot()
    labels, image = config.find("RectangleLabels"), config.find("Image")
    assert labels is not None
    assert image is not None
    assert [label.get("value") for label in labels] == [*CLASSES, "d"]
    assert {(r["from_name"], r["to_name"], r["type"]) for r in first["result"]} == {
        (labels.get("name"), image.get("name"), "rectanglelabels")
    }
    assert image.get("value") == "$image"


def test_label_studio_gets_parts_that_it_takes_at_once(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.labelling.label_studio.PART", 2)
    export("label-studio", images="none")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.xml",
        "tasks-001.json",
        "tasks-002.json",
    ]
    parts = [json.loads((tmp_path / f"out/tasks-00{number}.json").read_text()) for number in (1, 2)]
    assert [task["data"]["name"] for part in parts for task in part] == list(NAMES)


def test_cvat_has_the_documented_elements(export: Export, tmp_path: Path) -> None:
    export("cvat")
    root = ElementTree.parse(tmp_path / "out/annotations.xml").getroot()
    assert (root.tag, root.findtext("version")) == ("annotations", "1.1")
    assert [name.text for name in root.iterfind("meta/task/labels/label/name")] == list(CLASSES)
    images = root.findall("image")
    assert [(i.get("id"), i.get("name"), i.get("width"), i.get("height")) for i in images] == [
        (str(number), name, "48", "32") for number, name in enumerate(NAMES)
    ]
    assert [len(image) for image in images] == [2, 0, 0]
    for box, (*corners, score, label) in zip(images[0], BOXES, strict=True):
        assert [float(box.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr")] == corners
        assert (box.tag, box.get("label"), box.get("occluded"), box.get("z_order")) == (
            "box",
            label,
            "0",
            "0",
        )
        (attribute,) = box
        assert (attribute.tag, attribute.get("name"), float(attribute.text or "")) == (
            "attribute",
            "score",
            score,
        )
    labels = json.loads((tmp_path / "out/labels.json").read_text())
    assert [label["name"] for label in labels] == list(CLASSES)
    assert {label["type"] for label in labels} == {"rectangle"}
    assert [[attribute["name"] for attribute in label["attributes"]] for label in labels] == [["score"]] * 3


@pytest.mark.parametrize("images", ["link", "none"])
def test_labelme_names_its_image_wherever_that_lies(images: str, export: Export, tmp_path: Path) -> None:
    export("labelme", images=images)
    for number, name in enumerate(NAMES):
        path = (tmp_path / "out" / name).with_suffix(".json")
        document = json.loads(path.read_text())
        assert not Path(document["imagePath"]).is_absolute()
        assert (path.parent / document["imagePath"]).samefile(tmp_path / "photos" / name)
        assert (document["imageData"], document["imageWidth"], document["imageHeight"]) == (None, 48, 32)
        assert len(document["shapes"]) == (0 if number else 2)
    first = json.loads((tmp_path / "out/a.json").read_text())["shapes"]
    for shape, (x0, y0, x1, y1, score, label) in zip(first, BOXES, strict=True):
        assert (shape["shape_type"], shape["label"]) == ("rectangle", label)
        assert shape["points"] == [[x0, y0], [x1, y1]]
        assert (shape["description"], shape["score"]) == (f"score {score:.3f}", score)


def test_labelme_writes_beside_the_images(export: Export, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    before = photos / "a.json"
    before.write_text("somebody's work")
    source = Storage.open(str(tmp_path / "stage"))
    export("labelme")
    options = ExportOptions("labelme", str(photos))
    arguments: dict[str, Any] = {"roots": [str(photos)], "classes": CLASSES, "model": "m"}
    with pytest.raises(UserError, match=r"a\.json exists already"):
        export_boxes(source, "predictions.parquet", options, **arguments)
    assert before.read_text() == "somebody's work"
    assert [path.name for path in photos.rglob("*.json")] == ["a.json"]
    before.unlink()
    export_boxes(source, "predictions.parquet", options, **arguments)
    assert json.loads((photos / "x/a.json").read_text())["imagePath"] == "a.png"
    assert not any(path.is_symlink() for path in photos.rglob("*"))


def test_coco_opens_in_pycocotools(export: Export, tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    export("coco")
    coco = COCO(str(tmp_path / "out/coco.json"))
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == list(NAMES)
    found = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [a["bbox"] for a in found] == [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1, *_ in BOXES]
    assert [a["score"] for a in found] == [0.875, 0.5]
    assert [coco.loadCats(a["category_id"])[0]["name"] for a in found] == [box[-1] for box in BOXES]
    assert len(coco.getAnnIds()) == 2


def test_ultralytics_trains_on_yolo_as_it_is(export: Export, tmp_path: Path) -> None:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    import training.models.ultralytics_library  # noqa: F401 - takes back what ultralytics does to PIL

    export("yolo")
    (tmp_path / "out").rename(tmp_path / "moved")
    data = check_det_dataset(str(tmp_path / "moved/data.yaml"), autodownload=False)
    assert data["names"] == dict(enumerate(CLASSES))
    labels = {
        str(Path(label["im_file"]).relative_to(tmp_path / "moved/images")): label
        for label in YOLODataset(data["train"], data=data, augment=False, imgsz=64).labels
    }
    assert {name: len(label["cls"]) for name, label in labels.items()} == dict(
        zip(NAMES, (2, 0, 0), strict=True)
    )
    assert labels["a.png"]["cls"].ravel().tolist() == [2, 0]
    expected = [
        [(x0 + x1) / 96, (y0 + y1) / 64, (x1 - x0) / 48, (y1 - y0) / 32] for x0, y0, x1, y1, *_ in BOXES
    ]
    np.testing.assert_allclose(labels["a.png"]["bboxes"], expected, atol=1e-6)


def test_yolo_scores_are_a_sixth_column_if_asked_for(export: Export, tmp_path: Path) -> None:
    export("yolo", yolo_scores=True, classes=(*CLASSES,))
    lines = (tmp_path / "out/labels/a.txt").read_text().splitlines()
    assert [float(line.split()[5]) for line in lines] == [0.875, 0.5]
    assert (tmp_path / "out/classes.txt").read_text().splitlines() == list(CLASSES)
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text())["names"] == dict(enumerate(CLASSES))


def test_voc_counts_pixels_from_one(export: Export, tmp_path: Path) -> None:
    export("voc")
    root = ElementTree.parse(tmp_path / "out/Annotations/a.xml").getroot()
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["48", "32", "3"]
    sides = ("xmin", "ymin", "xmax", "ymax")
    boxes = [
        [int(item.findtext(f"bndbox/{side}") or "") for side in sides] for item in root.findall("object")
    ]
    assert boxes == [[3, 5, 12, 25], [21, 11, 48, 32]]
    assert [item.findtext("name") for item in root.findall("object")] == [box[-1] for box in BOXES]
    empty = ElementTree.parse(tmp_path / "out/Annotations/x/images/b #1 & 50%.xml").getroot()
    assert (empty.findtext("filename"), empty.findall("object")) == ("x/images/b #1 & 50%.png", [])


@pytest.mark.parametrize(
    ("low", "high", "pixels"),
    [
        (0.0, 8.0, (1, 8)),
        (10.4, 10.6, (11, 11)),
        (10.1, 10.4, (11, 11)),
        (9.6, 12.4, (11, 12)),
        (0.0, 0.2, (1, 1)),
    ],
)
def test_whole_pixels(low: float, high: float, pixels: tuple[int, int]) -> None:
    assert whole_pixels(low, high) == pixels


@pytest.mark.parametrize("to", FORMATS)
def test_boxes_without_an_area_are_left_out_and_counted(to: str, export: Export) -> None:
    written = export(to, boxes=[*BOXES, (48.0, 3.0, 48.0, 9.0, 0.9, CLASSES[0])])
    assert (written["images"], written["boxes"], written["boxes_without_area"]) == (3, 2, 1)


@pytest.mark.parametrize("to", ["labelme", "yolo", "voc"])
def test_images_that_differ_in_their_ending_alone_are_told(to: str, export: Export, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x/a\.jpg and x/a\.png would share the file"):
        export(to, names=("x/a.jpg", "x/a.png"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["label-studio", "cvat", "coco"])
def test_the_other_formats_take_them(to: str, export: Export) -> None:
    assert export(to, names=("x/a.jpg", "x/a.png"))["images"] == 2


@pytest.mark.parametrize(
    ("to", "name", "reason"),
    [
        ("cvat", "a\x01.png", "character that XML can't hold"),
        ("voc", "a\n.png", "character that XML can't hold"),
        ("labelme", "a\\b.png", "a backslash, which LabelMe takes for a folder's end"),
        ("yolo", "x/classes.png", "label file classes.txt, which is taken"),
    ],
)
def test_names_that_a_format_cant_hold_are_told(
    to: str, name: str, reason: str, export: Export, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=reason):
        export(to, names=(*NAMES, name))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_a_class_that_no_reader_takes_is_told(to: str, export: Export, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no class name: a class is 1 to 100 printable characters"):
        export(to, classes=("line\nbreak",), boxes=[])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_links_make_the_folder_a_data_set(to: str, export: Export, tmp_path: Path) -> None:
    export(to)
    linked = sorted(path for path in (tmp_path / "out").rglob("*.png"))
    assert len(linked) == 3
    assert {path.resolve() for path in linked} == {tmp_path / "photos" / name for name in NAMES}
    with pytest.raises(UserError, match="exists already"):
        export(to)
    assert export(to, force=True)["images"] == 3
