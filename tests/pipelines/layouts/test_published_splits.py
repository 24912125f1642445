"""The split that a data set's own files state, by layout, on small trees; and files that state none."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.errors import UserError
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from tests.pipelines.layouts.published_trees import RECT, draw, paint, voc_xml, write

BOX = "0 0.275 0.34375 0.35 0.3125\n"


def splits_of(root: Path, layout: str = "auto") -> dict[str, str]:
    listing = Listing(CorpusSection(root=str(root), layout=layout, split="published"))
    assert listing.published is not None
    return {entry.path: "+".join(sorted(entry.published)) for entry in listing.entries}


def held_out(root: Path, layout: str = "auto") -> set[str]:
    listing = Listing(CorpusSection(root=str(root), layout=layout, split="published"))
    assert listing.published is not None
    return {uri.removeprefix(f"{root}/") for uri in listing.published.held_out}


def yolo_images(root: Path, *names: str) -> None:
    """Images with a box each, their labels below `labels` in the same place."""
    for name in names:
        paint(root / f"{name}.jpg")
        write(root / f"{name.replace('images', 'labels')}.txt", BOX)


def coco_table(*names: str) -> str:
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    notes = [
        {"id": number, "image_id": number, "category_id": 1, "bbox": [2, 3, 7, 5]}
        for number in range(len(names))
    ]
    return json.dumps({"images": images, "annotations": notes, "categories": [{"id": 1, "name": "dent"}]})


def yolo_folders(root: Path) -> None:
    yolo_images(root, "images/a/1", "images/b/2", "images/c/3", "images/d/4")
    write(root / "data.yaml", "train: images/a\nval: images/b\ntest: [images/c]\nnames: [dent]\n")


def yolo_lists(root: Path) -> None:
    yolo_images(root / "ds", "images/a/1", "images/b/2", "images/c/3", "images/d/4")
    write(root / "ds/data.yaml", "path: ../ds\ntrain: lists/1.txt\nval: lists/2.txt\ntest: 3.txt\nnc: 1\n")
    write(root / "ds/lists/1.txt", "\ufeff./images/a/1.jpg\n")
    write(root / "ds/lists/2.txt", "images/b/2.jpg\r\n\r\n/gone/2.jpg\r\n")
    write(root / "ds/3.txt", "/home/me/ds/images/c/3.jpg")


def roboflow_yolo(root: Path) -> None:
    for name, number in (("train", 1), ("valid", 2), ("test", 3)):
        yolo_images(root, f"{name}/images/{number}")
    write(
        root / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\nnames: ['dent']\n",
    )


def yolo_of_another_machine(root: Path) -> None:
    yolo_images(root, "images/one/1", "images/two/2", "images/three/3")
    write(
        root / "data.yaml",
        "path: /content/drive/ds\ntrain: images/one\nval: images/two\n"
        'test: "C:\\\\users\\\\ds\\\\images\\\\three"\nnames: {0: dent}\n',
    )


def yolo_by_folder(root: Path) -> None:
    yolo_images(root, "images/train/1", "images/val/2", "images/test/3")
    write(root / "args.yaml", "mode: train\nval: true\ntrain: x\n")  # a training's settings


def coco_by_name(root: Path) -> None:
    for split, number in (("train2017", 1), ("val2017", 2), ("test2017", 3)):
        paint(root / f"{split}/{number}.jpg")
        write(root / f"annotations/instances_{split}.json", coco_table(f"{number}.jpg"))


def coco_short_names(root: Path) -> None:
    for split, number in (("train", 1), ("val", 2), ("test", 3)):
        paint(root / f"images/{number}.jpg")
        write(root / f"annotations/{split}.json", coco_table(f"images/{number}.jpg"))


def roboflow_coco(root: Path) -> None:
    for split, number in (("train", 1), ("valid", 2), ("test", 3)):
        paint(root / f"{split}/{number}.jpg")
        write(root / f"{split}/_annotations.coco.json", coco_table(f"{number}.jpg"))


def voc_sets(root: Path) -> None:
    home = root / "VOCdevkit/VOC2012"
    for number in (1, 2, 3, 4):
        paint(home / f"JPEGImages/a {number}.jpg")
        write(home / f"Annotations/a {number}.xml", voc_xml(("dent", 3, 4, 9, 8)))
    sets = home / "ImageSets/Main"
    write(sets / "train.txt", "a 1\n")
    write(sets / "val.txt", "a 2  1\r\n")
    write(sets / "trainval.txt", "a 1\na 2\n")
    write(sets / "test.txt", "a 3.jpg\ngone\n")
    write(sets / "dent_train.txt", "a 3 1\n")
    write(home / "ImageSets/Segmentation/train.txt", "a 3\n")


def roboflow_voc(root: Path) -> None:
    for split, number in (("train", 1), ("valid", 2), ("test", 3)):
        paint(root / f"{split}/{number}.jpg")
        write(root / f"{split}/{number}.xml", voc_xml(("dent", 3, 4, 9, 8)))


def datumaro(root: Path) -> None:
    labels = {"label": {"labels": [{"name": "dent"}]}}
    for split, number in (("train", 1), ("val", 2), ("test", 3)):
        paint(root / f"images/{split}/{number}.jpg")
        note = {"id": 1, "type": "bbox", "label_id": 0, "bbox": [2, 3, 7, 5]}
        item = {"id": str(number), "image": {"path": f"{number}.jpg"}, "annotations": [note]}
        document = {"dm_format_version": "1.0", "categories": labels, "items": [item]}
        write(root / f"annotations/{split}.json", json.dumps(document))


def mask_folders(root: Path) -> None:
    for split, number in (("train", 1), ("validation", 2), ("test", 3)):
        paint(root / f"{split}/images/{number}.png")
        draw(root / f"{split}/masks/{number}.png", RECT)


def cvat_yolo(root: Path) -> None:
    write(root / "obj.names", "dent\n")
    for split, number in (("train", 1), ("valid", 2), ("test", 3)):
        paint(root / f"obj_{split}_data/{number}.jpg")
        write(root / f"obj_{split}_data/{number}.txt", BOX)


THREE: dict[str, tuple[Callable[[Path], None], str]] = {
    one.__name__: (one, layout)
    for one, layout in (
        (yolo_folders, "yolo"),
        (yolo_lists, "yolo"),
        (roboflow_yolo, "yolo"),
        (yolo_of_another_machine, "yolo"),
        (yolo_by_folder, "yolo"),
        (coco_by_name, "coco"),
        (coco_short_names, "coco"),
        (roboflow_coco, "coco"),
        (voc_sets, "voc"),
        (roboflow_voc, "voc"),
        (datumaro, "datumaro"),
        (mask_folders, "mask_folders"),
        (cvat_yolo, "cvat_yolo"),
    )
}


@pytest.mark.parametrize("name", THREE)
def test_train_val_and_test_of_images_1_2_and_3(name: str, tmp_path: Path) -> None:
    write_tree, layout = THREE[name]
    write_tree(tmp_path)
    assert Listing(CorpusSection(root=str(tmp_path))).layout == layout
    numbers = {path.rpartition(".")[0][-1]: split for path, split in splits_of(tmp_path).items()}
    assert {number: split for number, split in numbers.items() if number != "4"} == {
        "1": "train",
        "2": "val",
        "3": "test",
    }
    assert numbers.get("4", "") == ""
    assert [path.rpartition(".")[0][-1] for path in held_out(tmp_path)] == ["3"]


def test_mvtec_dagm_kolektor_and_visa(tmp_path: Path) -> None:
    mvtec, dagm, kolektor, visa = (tmp_path / name for name in ("mvtec", "dagm", "kolektor", "visa"))
    for name in ("train/good/0", "validation/good/1", "test/good/2", "test/dent/3"):
        paint(mvtec / f"test_set/{name}.png")  # a category of such a name is no split
    draw(mvtec / "test_set/ground_truth/dent/3_mask.png", RECT)
    assert splits_of(mvtec) == {
        "test_set/train/good/0.png": "train",
        "test_set/validation/good/1.png": "val",
        "test_set/test/good/2.png": "test",
        "test_set/test/dent/3.png": "test",
    }
    assert held_out(mvtec) == {"test_set/test/good/2.png", "test_set/test/dent/3.png"}
    for split in ("Train", "Test"):
        paint(dagm / f"Class1/{split}/1.PNG")
        draw(dagm / f"Class1/{split}/Label/1_label.PNG", RECT)
    assert splits_of(dagm) == {"Class1/Train/1.PNG": "train", "Class1/Test/1.PNG": "test"}
    for split in ("train", "test"):
        paint(kolektor / f"{split}/1.png")
        draw(kolektor / f"{split}/1_GT.png", RECT)
    assert splits_of(kolektor) == {"train/1.png": "train", "test/1.png": "test"}
    rows = []
    for number, split in enumerate(("train", "test", "train")):
        name = f"pcb1/Data/Images/Normal/{number}.JPG"
        paint(visa / name)
        rows.append(f"pcb1,{split},normal,{name},\n")
    write(visa / "split_csv/1cls.csv", f"object,split,label,image,mask\n{''.join(rows)}")
    assert held_out(visa) == {"pcb1/Data/Images/Normal/1.JPG"}


def test_val_is_held_out_where_no_labelled_image_is_called_test(tmp_path: Path) -> None:
    yolo_images(tmp_path, "images/train/1", "images/val/2")
    paint(tmp_path / "images/test/3.jpg")  # without a label
    assert held_out(tmp_path) == {"images/val/2.jpg"}
    told = " ".join(Listing(CorpusSection(root=str(tmp_path), split="published")).warnings())
    assert "val is held out" in told


def test_what_must_be_heard_of_a_usable_split(tmp_path: Path) -> None:
    yolo_images(tmp_path, "images/train/1", "images/test/2", "images/more/3")
    paint(tmp_path / "images/test/4.jpg")
    told = Listing(CorpusSection(root=str(tmp_path), split="published")).warnings()
    assert any("without labels" in one and "images/test/4.jpg" in one for one in told)
    assert any("no published split names" in one and "images/more/3.jpg" in one for one in told)
    write(tmp_path / "data.yaml", "train: images/train\ntest: list.txt\nnames: [dent]\n")
    write(tmp_path / "list.txt", "images/test/2.jpg\nimages/test/9.jpg\n")
    told = Listing(CorpusSection(root=str(tmp_path), split="published")).warnings()
    assert any("images that are not there: 1 (first: 'images/test/9.jpg')" in one for one in told)


def test_an_image_of_two_splits_has_both(tmp_path: Path) -> None:
    yolo_images(tmp_path, "images/a/1", "images/b/2")
    write(tmp_path / "data.yaml", "train: images\nval: images/b\nnames: [dent]\n")
    assert splits_of(tmp_path) == {"images/a/1.jpg": "train", "images/b/2.jpg": "train+val"}


def test_a_source_without_a_split_is_named(tmp_path: Path) -> None:
    yolo_images(tmp_path, "images/1", "images/2")
    with pytest.raises(UserError, match=rf"{tmp_path} \(corpus\) states no published split.*corpus\.split="):
        splits_of(tmp_path)
    yolo_images(tmp_path / "train", "images/1")
    with pytest.raises(UserError, match=r"no labelled image in test or val .*train 1 \(1 labelled\)"):
        splits_of(tmp_path)


@pytest.mark.parametrize("layout", ["masks", "folder"])
def test_layouts_that_state_no_split(layout: str, tmp_path: Path) -> None:
    paint(tmp_path / "train/good/1.png")
    with pytest.raises(UserError, match=f"states no published split that the layout {layout} knows"):
        splits_of(tmp_path, layout)


HOSTILE = {
    "train: /etc\nval: images/val\n": 'train names "/etc"',
    "train: images/train\nval: ../../../etc\n": 'val names "../../../etc"',
    "train: images/train\nval: images/gone\n": 'val names "images/gone"',
    "train: images/train\nval: gone.txt\n": 'val names "gone.txt"',
    "train: images/train\nval: /data/images\n": 'val names "/data/images"',
    "train: images/train\nval: {a: b}\n": "val must be a folder",
    "train: images/train\nval: [images/val, [images/val]]\n": "val must be a folder",
    "train: images/train\nval: https://example.com/val.zip\n": "val names",
    'train: images/train\nval: "a\\tb"\n': "val must be a folder",
    f"train: images/train\nval: {'a' * 2000}\n": "val must be a folder",
    "path: [a]\ntrain: images/train\n": "path must be a folder",
    "train: images/train\nval: empty.txt\ntest: bad.txt\n": "bad.txt is no UTF-8",
    "train: images/train\nval: other.txt\n": "other.txt names no image",
    "train: images/train\nval: labels/val/2.txt\n": "names no image",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_data_yaml_is_one_sentence(text: str, tmp_path: Path) -> None:
    yolo_images(tmp_path, "images/train/1", "images/val/2")
    write(tmp_path / "data.yaml", f"{text}names: [dent]\n")
    write(tmp_path / "empty.txt", " \n")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\n")
    write(tmp_path / "other.txt", "../../etc/passwd\nimages/nothing.jpg\n\x00\x1b[31m\n")
    assert Listing(CorpusSection(root=str(tmp_path))).published is None  # by content it is not read
    with pytest.raises(UserError) as error:
        splits_of(tmp_path)
    assert HOSTILE[text] in str(error.value)
    assert str(error.value).isprintable()


def test_two_yaml_files_that_differ(tmp_path: Path) -> None:
    yolo_images(tmp_path, "images/train/1", "images/val/2")
    write(tmp_path / "data.yaml", "train: images/train\nval: images/val\nnames: [dent]\n")
    write(tmp_path / "again.yaml", "train: ./images/train/\nval: images/val\nnames: [dent]\n")
    assert held_out(tmp_path) == {"images/val/2.jpg"}
    write(tmp_path / "again.yaml", "train: images/val\nval: images/train\nnames: [dent]\n")
    with pytest.raises(UserError, match="state different splits"):
        splits_of(tmp_path)


def test_hostile_image_sets_and_tables(tmp_path: Path) -> None:
    voc_sets(tmp_path / "voc")
    test = tmp_path / "voc/VOCdevkit/VOC2012/ImageSets/Main/test.txt"
    write(test, "nothing\n../../a 3\n")
    with pytest.raises(UserError, match=r"test\.txt names no image .*first: 'nothing'"):
        splits_of(tmp_path / "voc")
    test.write_bytes(b"\xff\n")
    with pytest.raises(UserError, match="no UTF-8"):
        splits_of(tmp_path / "voc")
    paint(tmp_path / "visa/pcb1/Data/Images/Normal/0.JPG")
    for text, told in (
        ("split,image\ntraining day,pcb1/Data/Images/Normal/0.JPG\n", "without image and split"),
        ("a,b\nc,d\n", "without image and split"),
        ('split,image\ntest,"pcb1\n', "no CSV table"),
        ("split,image\ntest,/etc/passwd\n", "names no image"),
    ):
        write(tmp_path / "visa/split_csv/1cls.csv", text)
        with pytest.raises(UserError, match=told):
            splits_of(tmp_path / "visa")
