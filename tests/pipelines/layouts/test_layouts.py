"""Every dataset layout on a tiny tree as it is published, and on real data where it is mounted."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from cluster.errors import UserError
from pipelines.annotations.rle import decode_mask
from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection, ReferenceNeed
from pipelines.corpus.sorting import Corpus
from pipelines.layouts.catalogue import LAYOUTS
from tests.pipelines.images.bucket_server import serve_bucket
from tests.pipelines.layouts.published_trees import (
    HEIGHT,
    TREES,
    WIDTH,
    Expected,
    draw,
    mvia_metal_pipe,
    paint,
    voc_xml,
    write,
)
from tests.pipelines.layouts.tool_trees import ALL_TREES
from tests.repository import shared


def rows_of(root: str, **options: Any) -> tuple[Listing, dict[str, dict[str, Any]]]:
    listing = Listing(CorpusSection(root=root, **options))
    return listing, {row["path"]: row for row in inspect(listing.table()).to_pylist()}


def check(rows: dict[str, dict[str, Any]], expected: dict[str, Expected]) -> None:
    """Compare inspected rows with what was worked out by hand; the order of boxes does not matter."""
    assert sorted(rows) == sorted(expected)
    for path, want in expected.items():
        row = rows[path]
        assert row["error"] is None
        assert (row["category"], row["normal"], row["labelled"]) == (
            want.category,
            want.normal,
            want.labelled,
        )
        found = sorted((box["x0"], box["y0"], box["x1"], box["y1"], box["label"]) for box in row["boxes"])
        assert [box[4] for box in found] == [box[4] for box in sorted(want.boxes)]
        for box, wanted in zip(found, sorted(want.boxes), strict=True):
            assert box[:4] == pytest.approx(wanted[:4], abs=1e-9)
        if want.mask is None:
            assert row["mask"] is None
            continue
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        for x0, y0, x1, y1 in want.mask:
            mask[y0:y1, x0:x1] = True
        np.testing.assert_array_equal(decode_mask(row["mask"], WIDTH, HEIGHT), mask)


def test_steel_pipe_is_read_where_it_is_named(tmp_path: Path) -> None:
    """Its images have no names of their own, by which `auto` could tell it from other sets of this form."""
    expected = mvia_metal_pipe(tmp_path)
    check(rows_of(str(tmp_path), layout="mvia_metal")[1], expected)
    assert Listing(CorpusSection(root=str(tmp_path))).layout != "mvia_metal"


def test_every_layout_has_a_tree() -> None:
    assert {layout for layout, _ in ALL_TREES.values()} == set(LAYOUTS)


@pytest.mark.parametrize("name", ALL_TREES)
def test_a_published_tree_is_found_and_read(name: str, tmp_path: Path) -> None:
    layout, build = ALL_TREES[name]
    expected = build(tmp_path)
    listing, rows = rows_of(str(tmp_path))
    assert listing.layout == layout
    check(rows, expected)
    check(rows_of(str(tmp_path), layout=layout)[1], expected)


@pytest.mark.parametrize("name", ALL_TREES)
def test_the_same_on_object_storage(name: str, tmp_path: Path) -> None:
    """Through a URI and no path: an in-memory file system stands for a bucket."""
    layout, build = ALL_TREES[name]
    expected = build(tmp_path)
    bucket = fsspec.filesystem("memory")
    home = f"/bucket/{tmp_path.name}"
    bucket.put(str(tmp_path), home, recursive=True)
    try:
        listing, rows = rows_of(f"fsspec+memory://{home}")
        assert listing.layout == layout
        assert all(row["uri"].startswith("fsspec+memory:///bucket/") for row in rows.values())
        check(rows, expected)
    finally:
        bucket.rm(home, recursive=True)


def test_the_same_in_a_bucket_of_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `s3://` alone, the endpoint in the environment, as workers have it; names need quoting in a URI."""
    home = tmp_path / "steel plates #1 100%"
    expected = TREES["voc"][1](home)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "x")
    with serve_bucket(tmp_path) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        listing, rows = rows_of("s3://bucket/steel%20plates%20%231%20100%25")
    assert listing.layout == "voc"
    check(rows, expected)
    assert rows["beside/1.jpg"]["uri"] == "s3://bucket/steel%20plates%20%231%20100%25/beside/1.jpg"


def test_options_and_secrets_in_a_buckets_uri_are_refused() -> None:
    with pytest.raises(UserError, match=r"corpus\.root: options after the \?.*AWS_ENDPOINT_URL"):
        Listing(CorpusSection(root="s3://bucket/images?endpoint_override=localhost:1&region=x"))
    with pytest.raises(UserError, match=r"a password in a URI") as caught:
        Listing(CorpusSection(root="s3://key:hush@bucket/images?endpoint_override=localhost:1&region=x"))
    assert "hush" not in str(caught.value)


def test_a_single_category_of_mvtec_is_named_by_its_folder(tmp_path: Path) -> None:
    TREES["mvtec"][1](tmp_path)
    listing, rows = rows_of(str(tmp_path / "screw"))
    assert listing.layout == "mvtec"
    assert {row["category"] for row in rows.values()} == {"screw"}
    assert rows["test/thread/000.png"]["boxes"]


def test_coco_takes_the_only_file_of_a_name(tmp_path: Path) -> None:
    paint(tmp_path / "data/deep/1.jpg")
    document = {"images": [{"id": 1, "file_name": "deep/1.jpg"}], "annotations": [], "categories": []}
    write(tmp_path / "annotations/all.json", json.dumps(document))
    _, rows = rows_of(str(tmp_path))
    assert rows["data/deep/1.jpg"]["normal"]


@pytest.mark.parametrize(
    ("build", "path", "reason"),
    [
        ("voc", "VOCdevkit/VOC2012/Annotations/9.xml", "annotation of no image"),
        ("gc10_det", "lable/img_09.xml", "annotation of no image"),
        ("yolo", "labels/train/9.txt", "annotation of no image"),
    ],
)
def test_an_annotation_without_image_is_quarantined(
    build: str, path: str, reason: str, tmp_path: Path
) -> None:
    TREES[build][1](tmp_path)
    write(tmp_path / path, voc_xml(("1_chongkong", 1, 1, 2, 2)))
    _, rows = rows_of(str(tmp_path))
    assert reason in rows[path]["error"]
    assert [row["error"] for other, row in rows.items() if other != path] == [None] * (len(rows) - 1)


def test_voc_finds_the_annotation_of_an_image_in_a_folder_called_images(tmp_path: Path) -> None:
    for name in ("JPEGImages/a/images/b.png", "JPEGImages/b.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(path)
    for name in ("Annotations/a/images/b.xml", "Annotations/b.xml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<annotation/>")
    rows = Listing(CorpusSection(root=str(tmp_path), layout="voc")).table().to_pylist()
    assert {row["path"]: row["annotation"]["files"] for row in rows} == {
        "JPEGImages/a/images/b.png": [str(tmp_path / "Annotations/a/images/b.xml")],
        "JPEGImages/b.png": [str(tmp_path / "Annotations/b.xml")],
    }


def test_an_annotation_of_several_images_is_quarantined(tmp_path: Path) -> None:
    paint(tmp_path / "JPEGImages/1.jpg")
    paint(tmp_path / "JPEGImages/1.png")
    write(tmp_path / "Annotations/1.xml", voc_xml(("dent", 3, 4, 9, 8)))
    _, rows = rows_of(str(tmp_path))
    assert "several images" in rows["Annotations/1.xml"]["error"]
    assert [rows[f"JPEGImages/1.{kind}"]["labelled"] for kind in ("jpg", "png")] == [False, False]


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/passwd.jpg", "a/../../x.jpg", "..\\x.jpg", "gone.jpg"]
)
def test_coco_never_looks_outside_the_root(name: str, tmp_path: Path) -> None:
    paint(tmp_path / "secret.jpg")
    paint(tmp_path / "x.jpg")
    paint(tmp_path / "root/1.jpg")
    document = {
        "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": name}],
        "annotations": [],
        "categories": [],
    }
    write(tmp_path / "root/instances.json", json.dumps(document))
    _, rows = rows_of(str(tmp_path / "root"))
    assert rows["1.jpg"]["error"] is None
    fault = "no such image" if name == "gone.jpg" else "leads out of the folder"
    assert fault in rows[name]["error"]
    assert "instances.json" in rows[name]["error"]
    assert len(rows) == 2


def coco_with(**changes: Any) -> str:
    document = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}],
        "categories": [{"id": 1, "name": "dent"}],
    }
    return json.dumps({**document, **changes})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1]", "holds no COCO file"),
        (coco_with(images={"id": 1}), "images must be a list of objects"),
        (coco_with(images=[{"id": 1, "file_name": "1.jpg"}] * 2), "has the id 1 twice"),
        (coco_with(images=[{"file_name": "1.jpg"}]), "twice or not at all"),
        (coco_with(images=[{"id": 1}]), "has no file_name"),
        (coco_with(images=[{"id": n, "file_name": "1.jpg"} for n in (1, 2)]), "a second time"),
        (coco_with(categories=[{"id": 1, "name": "  "}]), "no class name"),
        (
            coco_with(annotations=[{"id": 5, "image_id": 1, "category_id": 1, "bbox": [[[[1]]]]}]),
            "annotation 5 nests too deeply",
        ),
    ],
)
def test_a_broken_coco_file_is_the_users_to_mend(text: str, says: str, tmp_path: Path) -> None:
    paint(tmp_path / "1.jpg")
    write(tmp_path / "annotations/all.json", text)
    with pytest.raises(UserError, match=says):
        Listing(CorpusSection(root=str(tmp_path)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "file is empty"),
        ("ImageId,ClassId,EncodedPixels\na.jpg,1\n", "no CSV table"),
        ("a,b\n1,2\n", "does not begin with ImageId,ClassId,EncodedPixels"),
        ("a.jpg,1,1 2\n", "does not begin with ImageId,ClassId,EncodedPixels"),
        ("ImageId,ClassId,EncodedPixels\n,1,1 2\n", "without image, class 1–4 and EncodedPixels"),
        ("ImageId,ClassId,EncodedPixels\na.jpg,1,", "ends within a row"),
        ("ImageId,ClassId,EncodedPixels\na.jpg,9,1 2\n", "class 1–4"),
        ("ImageId,ClassId,EncodedPixels\na.jpg,1,1 2\na.jpg,1,5 2\n", "class 1 of a.jpg twice"),
        ("\xff\xfe", "no CSV table"),
    ],
)
def test_a_broken_severstal_table_is_the_users_to_mend(text: str, says: str, tmp_path: Path) -> None:
    paint(tmp_path / "train_images/a.jpg")
    (tmp_path / "train.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=says):
        Listing(CorpusSection(root=str(tmp_path)))


def test_severstal_names_an_image_that_is_missing(tmp_path: Path) -> None:
    paint(tmp_path / "train_images/a.jpg")
    write(tmp_path / "train.csv", "ImageId,ClassId,EncodedPixels\n../b.jpg,1,1 2\n")
    _, rows = rows_of(str(tmp_path))
    assert "no such image" in rows["train_images/../b.jpg"]["error"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("names: [a, '']", "no class name"),
        ("names: {0: a, 2: b}", "without a gap"),
        ("names: 3", "must be a list"),
        ("names: [a", "not valid YAML"),
        ("names: &x [a]\nmore: *x", "aliases"),
        ("names: [a, b]\nkpt_shape: 4", "kpt_shape must be the number of key points"),
        ("names: [a, b]\nkpt_shape: [4, -3]", "kpt_shape must be the number of key points"),
    ],
)
def test_broken_yolo_names_are_the_users_to_mend(text: str, says: str, tmp_path: Path) -> None:
    TREES["yolo"][1](tmp_path)
    write(tmp_path / "data.yaml", text)
    with pytest.raises(UserError, match=says):
        Listing(CorpusSection(root=str(tmp_path)))


def test_yolo_without_names_calls_classes_by_number(tmp_path: Path) -> None:
    TREES["yolo"][1](tmp_path)
    (tmp_path / "data.yaml").unlink()
    _, rows = rows_of(str(tmp_path))
    assert [box["label"] for box in rows["images/train/2.jpg"]["boxes"]] == ["0", "1"]
    write(tmp_path / "labels/classes.txt", "scratch\ndent\n")
    _, rows = rows_of(str(tmp_path))
    assert [box["label"] for box in rows["images/train/2.jpg"]["boxes"]] == ["scratch", "dent"]
    write(tmp_path / "data.yaml", "names: [dent, scratch]")
    with pytest.raises(UserError, match="name different classes"):
        Listing(CorpusSection(root=str(tmp_path)))


@pytest.mark.parametrize(
    ("shape", "points"), [("[3, 2]", "0.9 0.9 0.7 0.9 0.8 0.2"), ("[2, 3]", "0.9 0.9 1 0.7 0.9 1")]
)
def test_yolo_key_points_are_no_outline(shape: str, points: str, tmp_path: Path) -> None:
    """A box (2, 3)-(9, 8) and six numbers, which together could be an outline of five points."""
    TREES["yolo"][1](tmp_path)
    write(tmp_path / "labels/train/1.txt", f"1 0.275 0.34375 0.35 0.3125 {points}\n")
    write(tmp_path / "data.yaml", f"names: [scratch, dent]\nkpt_shape: {shape}\n")
    _, rows = rows_of(str(tmp_path), bad_labels="clip")
    (box,) = rows["images/train/1.jpg"]["boxes"]
    assert [box[side] for side in ("x0", "y0", "x1", "y1")] == pytest.approx([2, 3, 9, 8])
    assert box["label"] == "dent"
    assert [one["label"] for one in rows["images/train/2.jpg"]["boxes"]] == ["scratch", "dent"]
    write(tmp_path / "classes.yaml", "names: [scratch, dent]\nkpt_shape: [5, 3]\n")
    with pytest.raises(UserError, match="differ in kpt_shape"):
        Listing(CorpusSection(root=str(tmp_path)))


@pytest.mark.parametrize("angle", [90.0, 30.0])
def test_a_box_that_cvat_turned_is_turned_in_its_coco_and_voc_exports(angle: float, tmp_path: Path) -> None:
    corners = np.array([(2, 3), (9, 3), (9, 8), (2, 8)]) - (5.5, 5.5)
    turn = np.exp(1j * np.radians(angle)) * (corners @ np.array([1, 1j]))
    wanted = 5.5 + np.array([turn.real.min(), turn.imag.min(), turn.real.max(), turn.imag.max()])
    paint(tmp_path / "coco/1.jpg")
    upright = {"segmentation": [], "bbox": [2.0, 3.0, 7.0, 5.0], "iscrowd": 0, "category_id": 1}
    turned = {**upright, "attributes": {"rotation": angle, "occluded": False}}
    outlined = {**turned, "segmentation": [[2, 3, 9, 3, 9, 8, 2, 8]]}
    free = {**upright, "attributes": {"rotation": 0.0, "occluded": False}}
    document = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [{"image_id": 1, "id": n, **one} for n, one in enumerate([turned, outlined, free])],
        "categories": [{"id": 1, "name": "dent"}],
    }
    write(tmp_path / "coco/instances.json", json.dumps(document))
    paint(tmp_path / "voc/1.jpg")
    attribute = f"<attribute><name>rotation</name><value>{angle}</value></attribute>"
    text = voc_xml(("dent", 3, 4, 9, 8))
    write(tmp_path / "voc/1.xml", text.replace("</object>", f"<attributes>{attribute}</attributes></object>"))
    for name, others in (("coco", 2), ("voc", 0)):
        _, rows = rows_of(str(tmp_path / name), bad_labels="drop")
        first, *upright_boxes = (
            [box[side] for side in ("x0", "y0", "x1", "y1")] for box in rows["1.jpg"]["boxes"]
        )
        assert first == pytest.approx(wanted)
        assert upright_boxes == [[2, 3, 9, 8]] * others


@pytest.mark.data
def test_magnetic_tile_as_published() -> None:
    magnetic_tile = shared("data/magnetic_tile")
    listing = Listing(CorpusSection(root=str(magnetic_tile)))
    assert listing.layout == "magnetic_tile"
    labels = Counter(entry.annotation.label if entry.annotation else None for entry in listing.entries)
    assert labels == {None: 952, "blowhole": 115, "break": 85, "crack": 57, "fray": 32, "uneven": 103}
    listing.require_references(CorpusSection(root=str(magnetic_tile)), ReferenceNeed(4, "maps.kead.shots"))


@pytest.mark.data
def test_neu_det_as_published() -> None:
    root = shared("data/neu_det")
    section = CorpusSection(root=str(root))
    listing = Listing(section)
    assert listing.layout == "neu_det"
    assert len(listing.entries) == 1800
    listing.require_references(section, ReferenceNeed(0, "maps.kead.shots"))
    with pytest.raises(UserError, match=r'Category "steel_strip" has 0 normal .*maps\.kead\.shots=0'):
        listing.require_references(section, ReferenceNeed(1, "maps.kead.shots"))
    inspected = inspect(listing.table())
    rows = inspected.to_pylist()
    assert sum(len(row["boxes"]) for row in rows) == 4189
    named = [(row["path"].split("/")[1], {box["label"] for box in row["boxes"]}) for row in rows]
    assert sum(any(not name.startswith(label) for label in labels) for name, labels in named) == 123
    corpus = Corpus(inspected, section, listing.reference_candidates(section))
    counts = corpus.counts()
    assert (counts["images"], counts["duplicates"], counts["quarantined"]) == (1799, 1, 0)
    assert counts["labelled_with_defects"] == 1799
    assert counts["references"] == 0
    assert [row["uri"].rsplit("/", 1)[1] for row in corpus.duplicates.to_pylist()] == ["patches_105.jpg"]


def test_gdxray_tells_broken_lines_and_images_that_are_not_there(tmp_path: Path) -> None:
    for number in range(1, 8):
        paint(tmp_path / f"C0001/C0001_000{number}.png")
    paint(tmp_path / "C0002/C0002_0001.png")
    rows = ["1 3 9 4 8", "2 3 9 4", "3 nan 9 4 8", "3 3 9 4 8", "one 3 9 4 8", "1.5 3 9 4 8", "9 3 9 4 8", ""]
    write(tmp_path / "C0001/ground_truth.txt", "\n".join(rows))
    write(tmp_path / "C0002/ground_truth.txt", "2 3 9 4 8\n")
    listing, found = rows_of(str(tmp_path), max_bad_share=1)
    assert listing.layout == "gdxray"
    table = f"{tmp_path}/C0001/ground_truth.txt"
    assert {path: row["error"] for path, row in found.items() if row["error"]} == {
        "C0001/C0001_0002.png": f"line 2 of {table} is no box",
        "C0001/C0001_0003.png": f"line 3 of {table} is no box",
        "C0001/C0001_0009.png": f"{table} names image 9, which is not there",
        "C0002/C0002_0002.png": f"{tmp_path}/C0002/ground_truth.txt names image 2, which is not there",
    }
    lost = [fault for fault in listing.label_faults() if fault["action"] == "label left out"]
    assert [(fault["file"], fault["line"]) for fault in lost] == [(table, 5), (table, 6)]
    # Any image without a line may be the one that such a line meant.
    assert not any(row["normal"] for row in found.values())
    assert [path for path, row in found.items() if row["labelled"] and not row["error"]] == [
        "C0001/C0001_0001.png"
    ]
    assert len(found["C0001/C0001_0001.png"]["boxes"]) == 1


@pytest.mark.parametrize(
    ("bbox", "more", "corners"),
    [
        ([4, 3, 9, 8], {"area": 25}, True),  # x0, y0, x1, y1
        ([4, 3, 9, 8], {"area": 25.01}, True),
        ([4, 3, 9, 8], {"area": 72}, False),
        ([4, 3, 9, 8], {"area": 0}, False),
        ([4, 3, 9, 8], {}, False),
        ([0, 0, 9, 8], {"area": 72}, False),  # both readings are one
        ([4, 3, 9, 8], {"area": 25, "segmentation": [[4, 3, 13, 3, 13, 11]]}, False),  # a polygon's own area
    ],
)
def test_boxes_given_by_their_corners_are_told_by_their_area(
    bbox: list[float], more: dict[str, Any], corners: bool, tmp_path: Path
) -> None:
    paint(tmp_path / "a.png")
    item = {"id": 1, "image_id": 1, "category_id": 1, "bbox": bbox, "iscrowd": 0, **more}
    document = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "dent"}],
        "annotations": [item],
    }
    write(tmp_path / "annotations" / "train.json", json.dumps(document))
    _, rows = rows_of(str(tmp_path))
    error = rows["a.png"]["error"]
    assert ("seems to be x0, y0, x1, y1" in str(error)) is corners
    if not corners:
        (box,) = rows["a.png"]["boxes"]
        assert [box["x0"], box["y0"], box["x1"], box["y1"]] == [
            bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3]
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("scratch/x.png", "scratch/x_mask.png"),  # a level too few for the layout masks
        ("plate/one/scratch/x.png", "plate/one/scratch/x_mask.png"),  # a level too many
        ("x.png", "x-Mask.PNG"),
        ("plate/scratch/x.png", "plate/scratch/x_gt.png"),
        ("plate/photos/x.png", "plate/GT/x.png"),
        ("plate/photos/x.png", "plate/masks/deep/x_mask.bmp"),
    ],
)
def test_a_mask_is_no_photograph_of_a_folder(image: str, mask: str, tmp_path: Path) -> None:
    for name in (image, mask, "plate/good/y.png"):
        paint(tmp_path / name)
    listing, rows = rows_of(str(tmp_path))
    assert listing.layout == "folder"
    assert f"it seems to be the mask of {image}" in rows[mask]["error"]
    assert {name for name, row in rows.items() if row["error"] is None} == {image, "plate/good/y.png"}


def test_a_photograph_with_a_masks_name_of_its_own_stays(tmp_path: Path) -> None:
    for name in ("plate/gas_mask.png", "plate/x.png", "mask/front.png", "mask/back.png"):
        paint(tmp_path / name)
    _, rows = rows_of(str(tmp_path))
    assert all(row["error"] is None for row in rows.values())


@pytest.mark.parametrize(
    ("image", "mask", "layout"),
    [
        ("plate/scratch/x.png", "plate/scratch/x_MASK.PNG", "masks"),
        ("Images/x.png", "Masks/x.PNG", "mask_folders"),
        ("images/x.png", "Ground_Truth/X_Mask.png", "mask_folders"),
    ],
)
def test_masks_are_found_in_capitals_too(image: str, mask: str, layout: str, tmp_path: Path) -> None:
    paint(tmp_path / image)
    draw(tmp_path / mask, (4, 3, 9, 8))
    listing, rows = rows_of(str(tmp_path))
    assert listing.layout == layout
    (box,) = rows[image]["boxes"]
    assert (box["x0"], box["y0"], box["x1"], box["y1"]) == (4, 3, 9, 8)
