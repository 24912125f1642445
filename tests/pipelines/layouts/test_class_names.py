"""Class names as they are written, whatever a parser would make of them."""

import json
from pathlib import Path

import pytest

from cluster.errors import UserError
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from tests.pipelines.layouts.published_trees import paint, write
from tests.pipelines.layouts.test_layouts import rows_of

NAMES = ["no", "1_0", "007", "off", "~", "1e3", "0x1F", "2024-01-01", "Yes", "null"]
LINE = "0.275 0.34375 0.35 0.3125\n"


@pytest.mark.parametrize(
    "text",
    [
        f"train: images\nnc: 10\nnames: [{', '.join(NAMES)}]\n",
        "names:\n" + "".join(f"  {number}: {name}\n" for number, name in enumerate(NAMES)),
        "names:\n" + "".join(f"- {name}\n" for name in NAMES),
        "\ufeffnames:\r\n" + "".join(f'- "{name}"\r\n' for name in NAMES),
    ],
)
def test_yolo_names_without_quotes(text: str, tmp_path: Path) -> None:
    for number in range(len(NAMES)):
        paint(tmp_path / f"images/{number}.jpg")
        write(tmp_path / f"labels/{number}.txt", f"{number} {LINE}")
    (tmp_path / "data.yaml").write_bytes(text.encode())
    _, rows = rows_of(str(tmp_path))
    assert [rows[f"images/{number}.jpg"]["boxes"][0]["label"] for number in range(len(NAMES))] == NAMES


@pytest.mark.parametrize("names", ["[a, ]", "[a, '']", "[a, [b]]", "{0: a, 00: b}", "{0: a, 1: }", "{a: 0}"])
def test_yolo_names_that_are_none(names: str, tmp_path: Path) -> None:
    paint(tmp_path / "images/1.jpg")
    write(tmp_path / "labels/1.txt", f"1 {LINE}")
    write(tmp_path / "data.yaml", f"names: {names}")
    if names == "[a, ]":  # one name: class 1 has none
        assert "class 1 has no name" in rows_of(str(tmp_path))[1]["images/1.jpg"]["error"]
        return
    with pytest.raises(UserError, match=r"data\.yaml.*correct it"):
        Listing(CorpusSection(root=str(tmp_path)))


@pytest.mark.parametrize(("name", "label"), [("no", "no"), ("007", "007"), (7, "7"), (0, "0")])
def test_coco_names(name: object, label: str, tmp_path: Path) -> None:
    paint(tmp_path / "1.jpg")
    document = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 7, 5]}],
        "categories": [{"id": 1, "name": name}],
    }
    write(tmp_path / "instances.json", json.dumps(document))
    assert rows_of(str(tmp_path))[1]["1.jpg"]["boxes"][0]["label"] == label


@pytest.mark.parametrize(
    ("name", "says"), [(None, "null"), (True, "true"), (1.0, r"1\.0"), (["a"], "no text")]
)
def test_coco_names_that_are_none(name: object, says: str, tmp_path: Path) -> None:
    paint(tmp_path / "1.jpg")
    document = {"images": [], "annotations": [], "categories": [{"id": 3, "name": name}]}
    write(tmp_path / "instances.json", json.dumps(document))
    with pytest.raises(UserError, match=rf"the category 3: its class is {says}"):
        Listing(CorpusSection(root=str(tmp_path)))


def test_names_of_darknet(tmp_path: Path) -> None:
    paint(tmp_path / "obj_train_data/1.jpg")
    write(tmp_path / "obj_train_data/1.txt", f"2 {LINE}")
    (tmp_path / "obj.names").write_bytes("\ufeffno\r\n1_0\r\n007\r\n\r\n".encode())
    assert rows_of(str(tmp_path))[1]["obj_train_data/1.jpg"]["boxes"][0]["label"] == "007"
    write(tmp_path / "obj.names", "no\n\n007\n")  # a gap: 007 could be the second class or the third
    with pytest.raises(UserError, match=r"obj\.names line 2: .* no class name"):
        Listing(CorpusSection(root=str(tmp_path)))
    (tmp_path / "obj.names").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="no UTF-8"):
        Listing(CorpusSection(root=str(tmp_path)))
