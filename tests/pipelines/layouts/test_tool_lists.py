"""Which image a tool's file means, which annotation of it counts, and what an empty one says."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pipelines.layouts import Entry, find_layout, list_tree
from tests.pipelines.layouts import tool_files as files
from tests.pipelines.layouts.published_trees import paint, write
from tests.pipelines.layouts.test_layouts import rows_of
from tests.pipelines.layouts.tool_trees import TOOL_TREES

BOX = files.studio_region("rectangle", files.STUDIO_BOX)
CHOICE = {"id": "c", "type": "choices", "from_name": "c", "to_name": "image"}


def studio_row(tmp_path: Path, *annotations: dict[str, Any], image: str = "1.jpg") -> dict[str, Any]:
    for name in "12":
        paint(tmp_path / f"{name}.jpg")
    write(tmp_path / "export.json", json.dumps([files.studio_task(7, image, *annotations)]))
    return rows_of(str(tmp_path))[1]["1.jpg"]


def test_regions_without_an_id_are_regions_of_their_own(tmp_path: Path) -> None:
    right = {**BOX, "value": {**BOX["value"], "x": 60}}
    row = studio_row(tmp_path, files.studio_annotation({**BOX, "id": None}, {**right, "id": None}))
    assert (row["error"], len(row["boxes"])) == (None, 2)


def test_what_is_said_of_a_region_repeats_its_shape_and_draws_no_other(tmp_path: Path) -> None:
    shape = {name: part for name, part in BOX["value"].items() if name != "rectanglelabels"}
    depth = {**BOX, "type": "number", "value": {**shape, "number": 3}}
    row = studio_row(tmp_path, files.studio_annotation(BOX, depth))
    assert (row["error"], len(row["boxes"])) == (None, 1)


def test_annotators_who_differ_on_whether_there_is_a_defect_are_a_fault(tmp_path: Path) -> None:
    row = studio_row(tmp_path, files.studio_annotation(BOX), files.studio_annotation())
    assert "task 7: its 2 annotations differ on whether there is anything" in row["error"]
    assert "export.json" in row["error"]


@pytest.mark.parametrize("truths", [(True, False), (False, True)])
def test_the_ground_truth_counts(truths: tuple[bool, bool], tmp_path: Path) -> None:
    first = files.studio_annotation(BOX, ground_truth=truths[0])
    row = studio_row(tmp_path, first, files.studio_annotation(ground_truth=truths[1]))
    assert (bool(row["boxes"]), row["normal"]) == (truths[0], truths[1])


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        ({"choices": ["Good"]}, True),
        ({"choices": ["ok", "normal"]}, True),
        ({"choices": ["ok", "rust"]}, False),
        ({"rating": 4}, False),
        ({"text": ["a scratch on the left"]}, False),
    ],
)
def test_what_is_said_of_a_whole_image(value: dict[str, Any], normal: bool, tmp_path: Path) -> None:
    row = studio_row(tmp_path, files.studio_annotation({**CHOICE, "value": value}))
    assert (row["error"], row["normal"], row["labelled"]) == (None, normal, normal)


def test_a_note_on_a_region_is_no_region(tmp_path: Path) -> None:
    note = {**BOX, "type": "textarea", "value": {**files.STUDIO_BOX, "text": ["deep"]}}
    row = studio_row(tmp_path, files.studio_annotation(BOX, note))
    assert [box["label"] for box in row["boxes"]] == ["dent"]


def test_predictions_and_drafts_are_no_annotations(tmp_path: Path) -> None:
    paint(tmp_path / "1.jpg")
    task = files.studio_task(7, "1.jpg")
    task |= {"predictions": [{"result": [BOX]}], "drafts": [{"result": [BOX]}]}
    write(tmp_path / "export.json", json.dumps([task]))
    row = rows_of(str(tmp_path))[1]["1.jpg"]
    assert (row["labelled"], row["normal"], row["error"]) == (False, False, None)


@pytest.mark.parametrize(
    "name",
    [
        "1.jpg",
        "/data/upload/4/1.jpg",
        "/data/upload/4/0a1b2c3d-1.jpg",
        "/data/local-files/?d=line%203/1.jpg",
        "s3://bucket/line/1.jpg",
        "https://host/1.jpg?sig=a%2Fb",
        "..\\..\\photos\\1.jpg",
        "../../photos/1.jpg",
        "C:\\photos\\1.jpg",
        "/../../etc/1.jpg",
    ],
)
def test_names_of_other_machines(name: str, tmp_path: Path) -> None:
    """The only file of that name below the root is meant; nothing is opened elsewhere."""
    row = studio_row(tmp_path, files.studio_annotation(BOX), image=name)
    assert row["error"] is None
    assert row["boxes"]


@pytest.mark.parametrize(
    "name", ["/data/upload/4/0a1b2c3d-3.jpg", "photos/1.jpg", "../secret.jpg", "0a1b2c-1.jpg"]
)
def test_names_that_are_not_there(name: str, tmp_path: Path) -> None:
    """A folder of its own is part of a relative name: `photos/1.jpg` is not `1.jpg`."""
    paint(tmp_path / "secret.jpg")
    row = studio_row(tmp_path / "root", files.studio_annotation(BOX), image=name)
    assert (row["labelled"], row["normal"], row["boxes"]) == (False, False, [])
    (fault,) = [row for row in rows_of(str(tmp_path / "root"))[1].values() if row["error"]]
    assert "export.json lists it, but no such image" in fault["error"]


def test_two_uploads_of_one_name_are_a_fault(tmp_path: Path) -> None:
    for name in "12":
        paint(tmp_path / f"{name}.jpg")
    tasks = [
        files.studio_task(number, f"/data/upload/4/{digits}-1.jpg", files.studio_annotation(*results))
        for number, digits, results in ((1, "0a1b2c3d", [BOX]), (2, "ffffffff", []))
    ]
    write(tmp_path / "export.json", json.dumps(tasks))
    row = rows_of(str(tmp_path))[1]["1.jpg"]
    assert "lists it 2 times" in row["error"]


def test_one_of_several_is_a_fault(tmp_path: Path) -> None:
    for home in ("a", "b"):
        paint(tmp_path / home / "1.jpg")
    write(tmp_path / "x/annotations.xml", files.cvat_xml(files.cvat_image("1.jpg", files.cvat_box())))
    _, rows = rows_of(str(tmp_path))
    assert "several may be meant: a/1.jpg, b/1.jpg" in rows["1.jpg"]["error"]
    assert [rows[f"{home}/1.jpg"]["labelled"] for home in ("a", "b")] == [False, False]


def test_an_export_of_cvat_with_its_images_names_them_from_its_folder(tmp_path: Path) -> None:
    for name in ("images/1.jpg", "images/a/1.jpg", "a/images/1.jpg"):
        paint(tmp_path / name)
    images = [files.cvat_image(name, files.cvat_box(label=name)) for name in ("1.jpg", "a/1.jpg")]
    write(tmp_path / "annotations.xml", files.cvat_xml(*images))
    _, rows = rows_of(str(tmp_path))
    labels = [rows[f"images/{name}"]["boxes"][0]["label"] for name in ("1.jpg", "a/1.jpg")]
    assert labels == ["1.jpg", "a/1.jpg"]
    assert not rows["a/images/1.jpg"]["labelled"]


def test_the_image_beside_the_table_is_meant(tmp_path: Path) -> None:
    for home in ("a", "b"):
        paint(tmp_path / home / "1.jpg")
        text = files.cvat_xml(files.cvat_image("1.jpg", files.cvat_box(label=home)))
        write(tmp_path / home / "annotations.xml", text)
    _, rows = rows_of(str(tmp_path))
    assert [rows[f"{home}/1.jpg"]["boxes"][0]["label"] for home in ("a", "b")] == ["a", "b"]


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ({"defect": "pit"}, "pit"),
        ({"Class": "pit", "size": "3"}, "pit"),
        ({"label": "", "kind": "pit"}, "pit"),
        ({"kind": {"pit": True, "dent": False}}, "pit"),
        ({"kind": {"pit": True, "dent": True}}, "its kind has 2 marks instead of one"),
        ({"size": "3", "depth": "1"}, "which attribute is its class"),
        ({"kind": None}, "which attribute is its class"),
        ({"kind": 3}, "its kind is no text"),
    ],
)
def test_which_attribute_of_via_is_the_class(attributes: dict[str, Any], label: str, tmp_path: Path) -> None:
    paint(tmp_path / "1.jpg")
    write(tmp_path / "via.json", json.dumps(files.via_image("1.jpg", (files.VIA_RECT, attributes))))
    row = rows_of(str(tmp_path))[1]["1.jpg"]
    assert label in (row["error"] or row["boxes"][0]["label"])


def test_a_project_of_via_without_attributes_has_one_class(tmp_path: Path) -> None:
    for name in "12":
        paint(tmp_path / f"{name}.jpg")
    first = files.via_image("1.jpg", (files.VIA_RECT, {}))
    write(tmp_path / "via.json", json.dumps(first))
    assert rows_of(str(tmp_path))[1]["1.jpg"]["boxes"][0]["label"] == "defect"
    second = files.via_image("2.jpg", (files.VIA_RECT, {"class": "pit"}))
    write(tmp_path / "via.json", json.dumps(first | second))  # now the first lacks what others have
    assert "which attribute is its class? It has none" in rows_of(str(tmp_path))[1]["1.jpg"]["error"]


def test_files_of_via_that_differ_on_an_image_are_a_fault(tmp_path: Path) -> None:
    for name in "12":
        paint(tmp_path / f"{name}.jpg")
    write(tmp_path / "old.json", json.dumps(files.via_image("1.jpg", (files.VIA_POLYGON, {"class": "pit"}))))
    write(tmp_path / "new.json", json.dumps(files.via_image("1.jpg", (files.VIA_RECT, {"class": "pit"}))))
    error = rows_of(str(tmp_path))[1]["1.jpg"]["error"]
    assert "new.json" in error
    assert "old.json lists it 2 times" in error


def test_labelme_files_of_one_image_are_a_fault(tmp_path: Path) -> None:
    for name in "12":
        paint(tmp_path / f"{name}.jpg")
    write(
        tmp_path / "1.json", files.labelme_text("1.jpg", files.labelme_shape("rectangle", [[2, 3], [9, 8]]))
    )
    write(tmp_path / "1 copy.json", files.labelme_text("1.jpg"))
    assert "several files annotate it: 1 copy.json, 1.json" in rows_of(str(tmp_path))[1]["1.jpg"]["error"]


def test_labelme_with_two_images_of_a_stem_takes_the_one_it_names(tmp_path: Path) -> None:
    for kind in ("jpg", "png"):
        paint(tmp_path / f"1.{kind}")
    write(
        tmp_path / "1.json", files.labelme_text("1.png", files.labelme_shape("rectangle", [[2, 3], [9, 8]]))
    )
    _, rows = rows_of(str(tmp_path))
    assert [bool(rows[f"1.{kind}"]["boxes"]) for kind in ("jpg", "png")] == [False, True]


def test_lists_and_empty_files_are_not_passed_over(tmp_path: Path) -> None:
    """What holds no label is counted as read; a note that nobody knows is not."""
    TOOL_TREES["cvat_yolo"][1](tmp_path / "yolo")
    TOOL_TREES["supervisely"][1](tmp_path / "sly")
    write(tmp_path / "yolo/notes.txt", "by hand")
    for home, rest in (("yolo", ["notes.txt"]), ("sly", [])):
        tree = list_tree(str(tmp_path / home), "root")
        entries = list(find_layout("auto", tree).read(tree))
        annotations = [entry.annotation for entry in entries if isinstance(entry, Entry) and entry.annotation]
        read = tree.tables | {PurePosixPath(file) for note in annotations for file in note.files}
        assert [str(path) for path in tree.ending(".txt", ".json", ".names") if path not in read] == rest


def test_a_path_upwards_is_followed_from_its_file(tmp_path: Path) -> None:
    for home in ("photos", "json/photos"):
        paint(tmp_path / home / "1.jpg")
    shape = files.labelme_shape("rectangle", [[2, 3], [9, 8]])
    write(tmp_path / "json/one.json", files.labelme_text("..\\photos\\1.jpg", shape))
    _, rows = rows_of(str(tmp_path))
    assert [bool(rows[f"{home}/1.jpg"]["boxes"]) for home in ("photos", "json/photos")] == [True, False]
