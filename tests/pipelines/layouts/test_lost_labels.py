"""A lost label never makes its image normal: one damage for every layout, and how loudly it is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.errors import UserError
from pipelines.corpus.image_paths import find_images
from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection, ReferenceNeed
from pipelines.corpus.sorting import Corpus
from pipelines.layouts.catalogue import LAYOUTS
from tests.pipelines.layouts.published_trees import HEIGHT, RECT, TREES, WIDTH, draw, paint, write
from tests.pipelines.layouts.tool_losses import TOOL_LOSSES, Loss, moved, rewritten
from tests.pipelines.layouts.tool_trees import ALL_TREES


def corpus_of(root: Path, **options: Any) -> tuple[Listing, Corpus]:
    section = CorpusSection(root=str(root), **{"max_bad_share": 1, "reference_count": 64, **options})
    listing = Listing(section)
    candidates, faults = listing.reference_candidates(section), listing.label_faults()
    return listing, Corpus(inspect(listing.table()), section, candidates, label_faults=faults)


def normal_images(root: Path, corpus: Corpus) -> set[str]:
    """Images that count as free of defects anywhere: as labels or as references."""
    ids = {row["image_id"] for row in corpus.labels if not row["boxes"]}
    rows = (row for row in corpus.manifest if row["image_id"] in ids or row["role"] == "reference")
    return {str(Path(row["uri"]).relative_to(root)) for row in rows}


def told(listing: Listing, corpus: Corpus) -> str:
    """All rows and lines that the user gets."""
    rows = [*corpus.bad_labels, *corpus.quarantine.to_pylist()]
    return "\n".join([*(" ".join(map(str, row.values())) for row in rows), *listing.warnings()])


PLANES = "real/metadata_annotations/instances_train_aircraft.json"
LOSSES = {
    "masks: mask": Loss(
        "masks", moved("tile/pit/1_mask.png", "tile/pit/9_mask.png"), "tile/pit/1.png", "9_mask.png"
    ),
    "magnetic_tile: mask": Loss(
        "magnetic_tile",
        moved("MT_Blowhole/Imgs/a.png", "MT_Blowhole/Imgs/z.png"),
        "MT_Blowhole/Imgs/a.jpg",
        "Imgs/z.png",
    ),
    "mvtec: mask": Loss(
        "mvtec",
        moved("screw/ground_truth/thread/000_mask.png", "screw/ground_truth/thread/009_mask.png"),
        "screw/test/thread/000.png",
        "009_mask.png",
    ),
    "visa: mask": Loss(
        "visa",
        moved("pcb1/Data/Masks/Anomaly/000.png", "pcb1/Data/Masks/Anomaly/009.png"),
        "pcb1/Data/Images/Anomaly/000.JPG",
        "Masks/Anomaly/009.png",
    ),
    "kolektor_sdd: mask": Loss(
        "kolektor_sdd",
        moved("kos01/Part1_label.bmp", "kos01/Part9_label.bmp"),
        "kos01/Part1.jpg",
        "Part9_label.bmp",
    ),
    "kolektor_sdd2: mask": Loss(
        "kolektor_sdd2", moved("train/10000_GT.png", "train/10009_GT.png"), "train/10000.png", "10009_GT.png"
    ),
    "mask_folders: mask": Loss(
        "mask_folders",
        moved("train/masks/ring1.png", "train/masks/ring9.png"),
        "train/images/ring1.jpg",
        "ring9.png",
    ),
    "dagm: mask, with a table": Loss(
        "dagm",
        moved("Class1/Train/Label/0002_label.PNG", "Class1/Train/Label/0009_label.PNG"),
        "Class1/Train/0002.PNG",
        "says that it has a defect, but its mask is not there",
    ),
    "severstal: name": Loss(
        "severstal",
        rewritten("train.csv", "b.jpg", "B.JPG"),
        "train_images/b.jpg",
        "there is no such image",
        ("train_images/c.jpg",),
    ),
    "severstal: run lengths": Loss(
        "severstal",
        rewritten("train.csv", "\na.jpg,3,194 5", "\na.jpg,3,318 5"),
        "train_images/a.jpg",
        "class_3",
    ),
    "severstal: a row of the first form": Loss(
        "severstal, first form",
        rewritten("train.csv", "a_b.jpg_2,194 5 210 5 226 5 242 5\n", ""),
        "train_images/a_b.jpg",
        "has only 3 of its 4 rows",
    ),
    "gdxray: image number": Loss(
        "gdxray",
        rewritten("Castings/C0001/ground_truth.txt", " 1.0000000e+00 ", " 9.0000000e+00 "),
        "Castings/C0001/C0001_0001.png",
        "names image 9",
        ("Castings/C0001/C0001_0002.png",),
    ),
    "gdxray: no number": Loss(
        "gdxray",
        rewritten("Castings/C0001/ground_truth.txt", "   1.0000000e+00   ", "   one   "),
        "Castings/C0001/C0001_0001.png",
        "line 1",
        ("Castings/C0001/C0001_0002.png",),
    ),
    "gdxray: end of a line": Loss(
        "gdxray",
        rewritten("Castings/C0001/ground_truth.txt", "\n", " "),
        "Castings/C0001/C0001_0001.png",
        "line 1 of",
        ("Castings/C0001/C0001_0002.png",),
    ),
    "coco: image id": Loss(
        "coco",
        rewritten("annotations/instances_val2017.json", '"image_id": "a"', '"image_id": "c"'),
        "val2017/1.jpg",
        "annotation 1: its image c is not listed",
        ("val2017/2.jpg",),
    ),
    "coco: category id": Loss(
        "coco",
        rewritten("annotations/instances_val2017.json", '"category_id": 8', '"category_id": 9'),
        "val2017/1.jpg",
        "annotation 1: its category 9 is not listed",
    ),
    "coco: file name": Loss(
        "coco",
        rewritten("annotations/instances_val2017.json", '"file_name": "1.jpg"', '"file_name": "l.jpg"'),
        "val2017/1.jpg",
        "lists it, but no such image",
    ),
    "rareplanes: image id": Loss(
        "rareplanes",
        rewritten(PLANES, '"image_id": 1', '"image_id": 11'),
        "real/train/PS-RGB_tiled/105_a_tile_1.png",
        "annotation 1: its image 11 is not listed",
    ),
    "voc: name": Loss(
        "voc",
        moved("VOCdevkit/VOC2012/Annotations/1.xml", "VOCdevkit/VOC2012/Annotations/9.xml"),
        "VOCdevkit/VOC2012/JPEGImages/1.jpg",
        "Annotations/9.xml",
    ),
    "voc: tag": Loss(
        "voc",
        rewritten("VOCdevkit/VOC2012/Annotations/1.xml", "object>", "objekt>"),
        "VOCdevkit/VOC2012/JPEGImages/1.jpg",
        "'objekt'",
    ),
    "gc10_det: name": Loss(
        "gc10_det", moved("lable/img_01.xml", "lable/img_09.xml"), "1/img_01.jpg", "img_09.xml"
    ),
    "cr7_det: name": Loss(
        "cr7_det",
        moved("lengzha/label/dents1.txt", "lengzha/label/dents9.txt"),
        "lengzha/image/dents1.jpg",
        "dents9.txt",
    ),
    "fssd_12: name": Loss(
        "fssd_12",
        moved("Steel_Am/GT/Steel_Am_1.png", "Steel_Am/GT/Steel_Am_9.png"),
        "Steel_Am/Images/Steel_Am_1.jpg",
        "Steel_Am_9.png",
    ),
    "mvia_metal: text": Loss(
        "mvia_metal",
        moved("labels/Sc_1.txt", "labels/Sc_9.txt"),
        "images/Sc_1.jpg",
        "Sc_9.txt",
        ("images/7.jpg",),
    ),
    "mvia_metal: mask": Loss(
        "mvia_metal",
        moved("mask/Sc_1.png", "mask/Sc_9.png"),
        "images/Sc_1.jpg",
        "Sc_9.png",
        ("images/7.jpg",),
    ),
    "neu_det: name": Loss(
        "neu_det",
        moved("ANNOTATIONS/crazing_1.xml", "ANNOTATIONS/crazing_9.xml"),
        "IMAGES/crazing_1.jpg",
        "crazing_9",
    ),
    "yolo: name": Loss(
        "yolo", moved("labels/train/1.txt", "labels/train/9.txt"), "images/train/1.jpg", "9.txt"
    ),
    "yolo: number": Loss(
        "yolo", rewritten("labels/train/1.txt", "0.35 ", "O.35 "), "images/train/1.jpg", "'O.35'"
    ),
    "folder: no label of its own": Loss(
        "folder", lambda root: write(root / "rail/a b/1.json", "{}"), "rail/a b/1 #%20.jpg", "rail/a b/1.json"
    ),
    **TOOL_LOSSES,
}


def test_every_layout_loses_a_label() -> None:
    assert {ALL_TREES[loss.tree][0] for loss in LOSSES.values()} == set(LAYOUTS)


@pytest.mark.parametrize("name", LOSSES)
def test_a_lost_label_makes_no_image_normal(name: str, tmp_path: Path) -> None:
    loss = LOSSES[name]
    layout, build = ALL_TREES[loss.tree]
    build(tmp_path)
    before = normal_images(tmp_path, corpus_of(tmp_path, layout=layout)[1])
    loss.damage(tmp_path)
    listing, corpus = corpus_of(tmp_path, layout=layout)
    after = normal_images(tmp_path, corpus)
    assert loss.image not in before | after
    assert before - after == set(loss.doubted)
    assert after <= before
    assert loss.tells in told(listing, corpus)
    assert not any(row["uri"].endswith(loss.image) for row in corpus.labels)
    doubts = {row["file"] for row in corpus.bad_labels if row["action"] == "image taken as unlabelled"}
    assert {f"{tmp_path}/{path}" for path in loss.doubted} <= doubts


def test_two_annotations_of_coco_that_became_one_stop(tmp_path: Path) -> None:
    coco_of(tmp_path, int)
    file = tmp_path / "annotations/instances_b.json"
    text = file.read_text()
    before, between, after = text.partition('}, {"id": 8, "image_id": 8,')
    file.write_text(before + ', "id": 8, "image_id": 8,' + after)
    assert between
    assert len(json.loads(file.read_text())["annotations"]) == 19
    with pytest.raises(UserError, match=r"instances_b\.json is no JSON \(an object has the key 'id' twice\)"):
        Listing(CorpusSection(root=str(tmp_path)))


def test_shapes_of_labelme_twice_are_a_fault(tmp_path: Path) -> None:
    ALL_TREES["labelme"][1](tmp_path)
    rewritten("line/1.json", '"imagePath"', '"shapes": [], "imagePath"')(tmp_path)
    assert json.loads((tmp_path / "line/1.json").read_text())["shapes"] == []
    listing, corpus = corpus_of(tmp_path)
    assert "line/1.jpg" not in normal_images(tmp_path, corpus)
    assert "an object has the key 'shapes' twice" in told(listing, corpus)


def coco_of(root: Path, image_id: Callable[[int], Any], **more: Any) -> None:
    """Forty images with a box each, in two files; in the second the annotations' image ids are rewritten."""
    for half in "ab":
        images = [
            {"id": n, "file_name": f"{half}{n}.png", "width": WIDTH, "height": HEIGHT} for n in range(20)
        ]
        for image in images:
            paint(root / f"images/{image['file_name']}")
        annotations = [
            {
                "id": n,
                "image_id": image_id(n) if half == "b" else n,
                "category_id": 1,
                "bbox": [2, 3, 7, 5],
                **more,
            }
            for n in range(20)
        ]
        document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "dent"}]}
        write(root / f"annotations/instances_{half}.json", json.dumps(document))


@pytest.mark.parametrize("kind", [str, float, lambda n: f"{n}.0", lambda n: f" {n} "])
@pytest.mark.parametrize("category", [1, "1", 1.0, "1.0"])
def test_ids_of_another_type_are_the_same_ids(
    kind: Callable[[int], Any], category: Any, tmp_path: Path
) -> None:
    coco_of(tmp_path, kind, category_id=category)
    _, corpus = corpus_of(tmp_path)
    assert (corpus.counts()["labelled_with_defects"], corpus.counts()["bad_labels"]) == (40, 0)
    assert {box["label"] for row in corpus.labels for box in row["boxes"]} == {"dent"}


@pytest.mark.parametrize(
    "image_id",
    [lambda n: f"x{n}", lambda n: n + 0.5, lambda n: f"00{n}", lambda n: None, lambda n: [n], bool],
)
def test_every_homeless_annotation_counts(image_id: Callable[[int], Any], tmp_path: Path) -> None:
    coco_of(tmp_path, image_id)
    listing, corpus = corpus_of(tmp_path)
    counts = corpus.counts()
    assert (counts["lost_labels"], counts["doubtful_images"]) == (20, 20)
    assert (counts["labelled_with_defects"], counts["labelled_normal"], counts["references"]) == (20, 0, 0)
    assert counts["unlabelled"] == 20
    assert len({row["reason"] for row in corpus.bad_labels if row["action"] == "label left out"}) == 20
    with pytest.raises(
        UserError, match=r"20 of 60 images and labels can't be used .*annotation 0: its image"
    ):
        corpus_of(tmp_path, max_bad_share=0.3)[1].refuse_unusable()
    assert any(
        line.startswith(f"{tmp_path}: labels of no image, left out: 20 (") for line in listing.warnings()
    )
    section, need = (
        CorpusSection(root=str(tmp_path), reference_count=64),
        ReferenceNeed(21, "maps.kead.shots"),
    )
    with pytest.raises(UserError, match=r"20 more can't be called normal: .*_b\.json holds 20 labels"):
        listing.require_references(section, need)


@pytest.mark.parametrize(
    "prefix",
    [
        "..\\..\\label-studio\\media\\upload\\4\\",
        "../../label-studio/data/media/upload/4/",
        "/data/upload/4/",
        "C:\\Users\\a\\",
        "s3://bucket/a/",
        "http://127.0.0.1:8080/data/upload/4/",
        "/data/local-files/?d=a/",
    ],
)
def test_a_name_that_leads_elsewhere_means_the_file_of_its_last_part(prefix: str, tmp_path: Path) -> None:
    root = tmp_path / "export"
    paint(root / "images/1.jpg")
    paint(root / "images/a/2.jpg")
    paint(root / "images/b/2.jpg")
    images = [{"id": n, "file_name": f"{prefix}{n}.jpg"} for n in (1, 2, 3)]
    boxes = [{"id": n, "image_id": n, "category_id": 0, "bbox": [2, 3, 7, 5]} for n in (1, 2, 3)]
    categories = [{"id": 0, "name": "scratch"}]
    document = {"images": images, "categories": categories, "annotations": boxes}
    write(root / "result.json", json.dumps(document))
    paint(tmp_path / "3.jpg")  # outside the root
    listing, corpus = corpus_of(root)
    assert listing.layout == "coco"
    assert [(row["uri"], len(row["boxes"])) for row in corpus.labels] == [(f"{root}/images/1.jpg", 1)]
    several, none = (
        row["reason"] for row in sorted(corpus.quarantine.to_pylist(), key=lambda row: row["uri"])
    )
    assert "several below it have that name: images/a/2.jpg, images/b/2.jpg" in several
    assert "no image below it has that name" in none


def test_a_file_of_any_name_is_found_by_what_it_holds(tmp_path: Path) -> None:
    TREES["coco"][1](tmp_path)
    (tmp_path / "annotations").rename(tmp_path / "x")
    (tmp_path / "x/instances_train2017.json").rename(tmp_path / "result.json")
    (tmp_path / "x/instances_val2017.json").unlink()
    (tmp_path / "val2017/1.jpg").unlink()
    listing, corpus = corpus_of(tmp_path)
    assert listing.layout == "coco"
    assert corpus.counts()["labelled_with_defects"] == 1
    assert listing.sources[0].passed_over == ("x/notes.json",)


def test_labels_that_are_passed_over_are_named(tmp_path: Path) -> None:
    TREES["mvtec"][1](tmp_path)
    for name in ("screw/a.json", "screw/b.xml", "c.txt", "d.csv", "obj.names"):
        write(tmp_path / name, "{}")
    listing, _ = corpus_of(tmp_path)
    assert listing.sources[0].passed_over == ("c.txt", "d.csv", "obj.names", "screw/a.json", "screw/b.xml")
    assert listing.warnings() == [
        f"{tmp_path}: files that may hold labels but that the layout mvtec does not read: "
        "5 (c.txt, d.csv, obj.names, …)"
    ]


def test_photographs_of_kinds_that_are_not_read_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`.HEIC` of a telephone, `.pgm` of a camera's software: left out, and not without a word."""
    for name in ("a.png", "b.HEIC", "old/c.pgm", "notes.docx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name, "PNG")
    listing, corpus = corpus_of(tmp_path)
    left_out = "left out: 2 photographs of kinds that are not read (.heic, .pgm; first b.HEIC); save them as "
    assert [each.split("PNG")[0] for each in listing.warnings()] == [f"{tmp_path}: {left_out}"]
    assert len(corpus.manifest) == 1
    assert find_images(str(tmp_path)).num_rows == 1
    assert left_out in capfd.readouterr().err
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=r"holds no image .*, but 2 photographs of kinds that are not read"):
        corpus_of(tmp_path)


# A defect's image that has no mask, or no boxes, in the tree as it should be.
UNMARKED_AS_PUBLISHED = {"masks": ("tile/pit/2.png",), "gc10_det": ("2/img_03.jpg",)}


@pytest.mark.parametrize("name", TREES)
def test_a_published_tree_loses_nothing(name: str, tmp_path: Path) -> None:
    TREES[name][1](tmp_path)
    listing, corpus = corpus_of(tmp_path)
    assert corpus.quarantine.to_pylist() == []
    assert listing.label_faults() == corpus.bad_labels
    unmarked = {f"{tmp_path}/{path}" for path in UNMARKED_AS_PUBLISHED.get(name, ())}
    assert {row["file"] for row in corpus.bad_labels} == unmarked


UNMARKED = {  # layout → an image of a defect, and the mask whose loss leaves it unmarked
    "masks": ("rail/crack/0.png", "rail/crack/0_mask.png"),
    "mvtec": ("rail/test/crack/0.png", "rail/ground_truth/crack/0_mask.png"),
    "magnetic_tile": ("MT_Crack/Imgs/0.jpg", "MT_Crack/Imgs/0.png"),
}
SIBLINGS = {
    "masks": ("rail/good/2.png",),
    "mvtec": ("rail/train/good/2.png",),
    "magnetic_tile": ("MT_Free/Imgs/2.jpg",),
}


@pytest.mark.parametrize("layout", UNMARKED)
def test_a_defect_without_its_mask_is_listed(layout: str, tmp_path: Path) -> None:
    """It is no truth, and whoever lost the mask must hear of it: the image was unlabelled without a word."""
    image, mask = UNMARKED[layout]
    for number, path in enumerate((image, image.replace("0.", "1."), *SIBLINGS[layout])):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / path)
    for path in (mask, mask.replace("0", "1", 1)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(255) * (np.indices((32, 32)).sum(axis=0) < 20)).save(tmp_path / path)
    section = CorpusSection(root=str(tmp_path), layout=layout, max_bad_share=0)
    assert Listing(section).warnings() == []
    (tmp_path / mask).unlink()
    listing = Listing(section)
    assert any(
        line.startswith(f"{tmp_path}: images of defects taken as unlabelled: 1 ({image}: it lies among")
        for line in listing.warnings()
    )
    corpus = Corpus(inspect(listing.table()), section, {}, label_faults=listing.label_faults())
    assert [(row["file"], row["action"]) for row in corpus.bad_labels] == [
        (f"{tmp_path}/{image}", "image taken as unlabelled")
    ]
    corpus.refuse_unusable()  # it is no bad image: it can be pretrained on
    split = {row["uri"]: (row["split"], row["normal"]) for row in corpus.manifest}
    assert split[f"{tmp_path}/{image}"] == ("unlabelled", False)


def test_a_mask_without_image_leaves_textures_in_doubt(tmp_path: Path) -> None:
    """DAGM without its table: an image without mask is normal only while every mask has its image."""
    TREES["dagm"][1](tmp_path)
    (tmp_path / "Class1/Train/Label/Labels.txt").unlink()
    moved("Class1/Train/Label/0002_label.PNG", "Class1/Train/Label/0009_label.PNG")(tmp_path)
    _, corpus = corpus_of(tmp_path)
    assert normal_images(tmp_path, corpus) == {"Class10/Test/0001.PNG"}  # a folder of its own
    assert corpus.counts()["doubtful_images"] == 2


def test_images_of_one_name_or_number_share_no_label(tmp_path: Path) -> None:
    """Neither gets the label, neither is normal for want of one."""
    TREES["severstal"][1](tmp_path / "severstal")
    paint(tmp_path / "severstal/train_images/again/a.jpg")
    TREES["gdxray"][1](tmp_path / "gdxray")
    paint(tmp_path / "gdxray/Castings/C0001/C0001_0001.jpg")
    for root, names in (
        (tmp_path / "severstal", {"train_images/a.jpg", "train_images/again/a.jpg"}),
        (tmp_path / "gdxray", {"Castings/C0001/C0001_0001.png", "Castings/C0001/C0001_0001.jpg"}),
    ):
        _, corpus = corpus_of(root)
        assert {str(Path(row["uri"]).relative_to(root)) for row in corpus.quarantine.to_pylist()} == names


@pytest.mark.parametrize("label", ["boxes", "a label at fault"])
def test_a_copy_with_a_defect_keeps_its_image_from_being_normal(label: str, tmp_path: Path) -> None:
    for number in range(2):
        paint(tmp_path / f"tile/good/{number}.png")
    paint(tmp_path / "tile/pit/0.png")
    (tmp_path / "tile/pit/0.png").write_bytes((tmp_path / "tile/good/0.png").read_bytes())
    draw(tmp_path / "tile/pit/0_mask.png", RECT)
    if label != "boxes":
        (tmp_path / "tile/pit/0_mask.png").write_bytes(b"no image")
    _, corpus = corpus_of(tmp_path)
    assert normal_images(tmp_path, corpus) == {"tile/good/1.png"}
    (row,) = (row for row in corpus.bad_labels if row["action"] == "image taken as unlabelled")
    assert row["file"] == f"{tmp_path}/tile/good/0.png"
    assert sorted(len(row["boxes"]) for row in corpus.labels) == ([0, 1] if label == "boxes" else [0])
