"""Tables that say less than others, or several things of an image: exports, subsets, images listed twice."""

import json
from pathlib import Path

import pytest

from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from tests.pipelines.layouts import tool_files as files
from tests.pipelines.layouts.published_trees import paint, write
from tests.pipelines.layouts.test_layouts import rows_of

BOX = files.studio_region("rectangle", files.STUDIO_BOX)
FLAT = {**BOX["value"], **{name: BOX[name] for name in ("original_width", "original_height")}}
WHEN = "2026-03-01T10:00:00Z"


def min_row(number: int, image: str, **said: object) -> dict[str, object]:
    """A row as Label Studio's JSON-MIN has it."""
    about = {"annotator": 1, "annotation_id": 70 + number, "created_at": WHEN, "updated_at": WHEN}
    return {
        "image": image,
        "id": number,
        **said,
        **about,
        "updated_at": "2026-03-01T10:00:00Z",
        "lead_time": 3.0,
    }


def test_json_min_is_read_as_the_whole_export(tmp_path: Path) -> None:
    for name in "12345":
        paint(tmp_path / "whole" / f"{name}.jpg")
        paint(tmp_path / "min" / f"{name}.jpg")
    good = {"type": "choices", "value": {"choices": ["Good"]}, "from_name": "quality", "to_name": "image"}
    bad = {**good, "value": {"choices": ["dirty"]}}
    tasks = [
        files.studio_task(n, f"/data/upload/4/0a1b2c3d-{n}.jpg", files.studio_annotation(*results))
        for n, results in enumerate(([BOX], [], [good], [bad]), start=1)
    ]
    write(tmp_path / "whole/export.json", json.dumps(tasks))
    rows = [
        min_row(1, "/data/upload/4/0a1b2c3d-1.jpg", label=[FLAT]),
        min_row(2, "/data/upload/4/0a1b2c3d-2.jpg"),
        min_row(3, "/data/upload/4/0a1b2c3d-3.jpg", quality="Good"),
        min_row(4, "/data/upload/4/0a1b2c3d-4.jpg", quality={"choices": ["dirty"]}),
    ]
    write(tmp_path / "min/export.json", json.dumps(rows))
    said = ("labelled", "normal", "boxes", "error")
    (whole, expected), (minimal, read) = rows_of(str(tmp_path / "whole")), rows_of(str(tmp_path / "min"))
    assert whole.layout == minimal.layout == "label_studio"
    assert {name: [row[key] for key in said] for name, row in read.items()} == {
        name: [row[key] for key in said] for name, row in expected.items()
    }
    assert [read[f"{n}.jpg"]["normal"] for n in range(1, 6)] == [False, True, True, False, False]


def test_several_annotations_of_json_min_are_those_of_one_task(tmp_path: Path) -> None:
    for name in "12":
        paint(tmp_path / f"{name}.jpg")
    rows = [min_row(1, "1.jpg", label=[FLAT]), min_row(1, "1.jpg")]
    write(tmp_path / "export.json", json.dumps(rows))
    row = rows_of(str(tmp_path))[1]["1.jpg"]
    assert "its 2 annotations differ on whether there is anything" in row["error"]


def test_a_subset_of_cvat_is_the_published_split(tmp_path: Path) -> None:
    images = []
    for name, subset in (("a", "Train"), ("b", "Test"), ("c", "Validation"), ("d", "batch 7"), ("e", "")):
        paint(tmp_path / f"{name}.jpg")
        image = files.cvat_image(f"{name}.jpg", files.cvat_box())
        images.append(image.replace("<image ", f'<image subset="{subset}" ') if subset else image)
    write(tmp_path / "annotations.xml", files.cvat_xml(*images))
    listing = Listing(CorpusSection(root=str(tmp_path), split="published"))
    published = {entry.path[0]: set(entry.published) for entry in listing.entries}
    assert published == {"a": {"train"}, "b": {"test"}, "c": {"val"}, "d": set(), "e": set()}


@pytest.mark.parametrize("named", ["b.jpg", "sub/b.jpg", "C:\\photos\\b.jpg"])
def test_a_file_beside_one_image_and_for_another_is_a_fault(named: str, tmp_path: Path) -> None:
    for name in "ab":
        paint(tmp_path / f"{name}.jpg")
    shape = {"label": "dent", "points": [[2, 3], [9, 8]], "shape_type": "rectangle"}
    write(tmp_path / "a.json", files.labelme_text(named, shape))
    _, rows = rows_of(str(tmp_path))
    assert (
        "it lies beside a.jpg, but its imagePath names b.jpg, which lies there too" in rows["a.jpg"]["error"]
    )
    assert not rows["a.jpg"]["normal"]
    assert not rows["b.jpg"]["labelled"]


def test_a_renamed_pair_is_used_and_told(tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    shape = {"label": "dent", "points": [[2, 3], [9, 8]], "shape_type": "rectangle"}
    write(tmp_path / "a.json", files.labelme_text("gone.jpg", shape))
    row = rows_of(str(tmp_path))[1]["a.jpg"]
    assert (row["error"], len(row["boxes"])) == (None, 1)
    assert [fault["action"] for fault in row["faults"]] == ["used"]
    assert "names gone.jpg, which is not there: taken as renamed" in row["faults"][0]["reason"]


def coco_text(boxes: int, name: str = "1.jpg") -> str:
    rows = [{"id": n, "image_id": 7, "category_id": 1, "bbox": [1, 1, 5, 5]} for n in range(1, boxes + 1)]
    categories = [{"id": 1, "name": "dent"}]
    return json.dumps(
        {"images": [{"id": 7, "file_name": name}], "annotations": rows, "categories": categories}
    )


def test_an_image_of_two_coco_files_is_read_once_or_a_fault(tmp_path: Path) -> None:
    for root, second in (("alike", 1), ("apart", 2), ("empty", 0)):
        paint(tmp_path / root / "1.jpg")
        paint(tmp_path / root / "2.jpg")
        write(tmp_path / root / "annotations/instances_train.json", coco_text(1))
        write(tmp_path / root / "annotations/instances_test.json", coco_text(second))
    alike = rows_of(str(tmp_path / "alike"))[1]["1.jpg"]
    assert (alike["error"], len(alike["boxes"])) == (None, 1)
    for root in ("apart", "empty"):
        row = rows_of(str(tmp_path / root))[1]["1.jpg"]
        assert "lists it 2 times, and not alike" in row["error"]
        assert not row["normal"]
    listing = Listing(CorpusSection(root=str(tmp_path / "alike"), split="published"))
    assert {entry.path: set(entry.published) for entry in listing.entries}["1.jpg"] == {"train", "test"}


def test_a_coco_file_finds_images_as_other_tables_do(tmp_path: Path) -> None:
    """The folder named in the table's name; the last part of a path of another machine."""
    for name in ("train2017/1.jpg", "val2017/1.jpg", "x/deep/2.jpg"):
        paint(tmp_path / name)
    write(tmp_path / "annotations/instances_val2017.json", coco_text(1))
    write(tmp_path / "annotations/instances_else.json", coco_text(1, "D:\\work\\y\\2.jpg"))
    _, rows = rows_of(str(tmp_path))
    assert [name for name, row in rows.items() if row["boxes"]] == ["x/deep/2.jpg", "val2017/1.jpg"]
