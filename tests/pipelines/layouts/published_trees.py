"""A tiny tree of every dataset layout, as it is published, and what must be read from it, worked out by hand.

All images are 20×16. `RECT` is drawn or written in each format's own way; its box is (2, 3, 9, 8).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 20, 16
Rect = tuple[int, int, int, int]
RECT: Rect = (2, 3, 9, 8)
OTHER: Rect = (12, 1, 16, 6)


@dataclass(frozen=True)
class Expected:
    """What an image must be read as: labelled boxes, and the rectangles of its mask (None: no mask)."""

    category: str
    normal: bool = False
    labelled: bool = False
    boxes: tuple[tuple[float, float, float, float, str], ...] = ()
    mask: tuple[Rect, ...] | None = None


def masked(category: str, label: str, *rects: Rect) -> Expected:
    """An image with a mask of these rectangles, far from each other, and a box around each."""
    boxes = tuple((*(float(side) for side in rect), label) for rect in rects)
    return Expected(category, labelled=True, boxes=boxes, mask=rects)  # type: ignore[arg-type]


def boxed(category: str, *boxes: tuple[float, float, float, float, str]) -> Expected:
    """An image with boxes and no mask."""
    return Expected(category, labelled=True, boxes=boxes)


def good(category: str) -> Expected:
    """A normal image without annotation."""
    return Expected(category, normal=True, labelled=True)


def empty_mask(category: str) -> Expected:
    """An image that its empty mask calls normal."""
    return Expected(category, normal=True, labelled=True, mask=())


def paint(path: Path) -> None:
    """A photograph; no two have the same content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(str(path).encode()))
    Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(path)


def draw(path: Path, *rects: Rect, value: int = 255) -> None:
    """A grey mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x0, y0, x1, y1 in rects:
        pixels[y0:y1, x0:x1] = value
    Image.fromarray(pixels).save(path)


def write(path: Path, text: str) -> None:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def voc_xml(*objects: tuple[str, int, int, int, int], size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    """Pascal VOC, corners counted from 1, both ends included."""
    items = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, x0, y0, x1, y1 in objects
    )
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>x.jpg</filename>{sides}{items}</annotation>"


def folder(root: Path) -> dict[str, Expected]:
    for name in ("rail/a b/1 #%20.jpg", "rail/references/2.jpg", "3.png"):
        paint(root / name)
    return {
        "rail/a b/1 #%20.jpg": Expected("rail"),
        "rail/references/2.jpg": Expected("rail", normal=True),
        "3.png": Expected("surface"),
    }


def masks(root: Path) -> dict[str, Expected]:
    for name in ("tile/good/1.png", "tile/pit/1.png", "tile/pit/2.png"):
        paint(root / name)
    draw(root / "tile/pit/1_mask.png", RECT, OTHER)
    return {
        "tile/good/1.png": good("tile"),
        "tile/pit/1.png": masked("tile", "pit", RECT, OTHER),
        "tile/pit/2.png": Expected("tile"),
    }


def magnetic_tile(root: Path) -> dict[str, Expected]:
    for name in ("MT_Blowhole/Imgs/a.jpg", "MT_Free/Imgs/b.jpg"):
        paint(root / name)
    draw(root / "MT_Blowhole/Imgs/a.png", RECT)
    draw(root / "MT_Free/Imgs/b.png")
    return {
        "MT_Blowhole/Imgs/a.jpg": masked("magnetic_tile", "blowhole", RECT),
        "MT_Free/Imgs/b.jpg": good("magnetic_tile"),
    }


def mvtec(root: Path) -> dict[str, Expected]:
    images = (
        "screw/train/good/000.png",
        "screw/test/good/000.png",
        "screw/test/thread/000.png",
        "box/validation/good/001.png",
        "box/test/missing/000.png",
        "candle/test/bad/000.JPG",
    )
    for name in images:
        paint(root / name)
    draw(root / "screw/ground_truth/thread/000_mask.png", RECT)
    draw(root / "box/ground_truth/missing/000/000.png", RECT, value=7)  # LOCO: two masks of one image
    draw(root / "box/ground_truth/missing/000/001.png", OTHER, value=9)
    draw(root / "candle/ground_truth/bad/000.png", RECT)  # VisA, converted
    return {
        "screw/train/good/000.png": good("screw"),
        "screw/test/good/000.png": good("screw"),
        "screw/test/thread/000.png": masked("screw", "thread", RECT),
        "box/validation/good/001.png": good("box"),
        "box/test/missing/000.png": masked("box", "missing", RECT, OTHER),
        "candle/test/bad/000.JPG": masked("candle", "bad", RECT),
    }


def visa(root: Path) -> dict[str, Expected]:
    paint(root / "pcb1/Data/Images/Normal/0000.JPG")
    paint(root / "pcb1/Data/Images/Anomaly/000.JPG")
    draw(root / "pcb1/Data/Masks/Anomaly/000.png", RECT, value=2)
    write(root / "pcb1/image_anno.csv", "image,label,mask\n")
    return {
        "pcb1/Data/Images/Normal/0000.JPG": good("pcb1"),
        "pcb1/Data/Images/Anomaly/000.JPG": masked("pcb1", "anomaly", RECT),
    }


def kolektor_sdd(root: Path) -> dict[str, Expected]:
    for name in ("Part0", "Part1"):
        paint(root / f"kos01/{name}.jpg")
    draw(root / "kos01/Part0_label.bmp")
    draw(root / "kos01/Part1_label.bmp", RECT, value=1)
    return {
        "kos01/Part0.jpg": empty_mask("commutator"),
        "kos01/Part1.jpg": masked("commutator", "defect", RECT),
    }


def kolektor_sdd2(root: Path) -> dict[str, Expected]:
    for name in ("train/10000", "test/20000"):
        paint(root / f"{name}.png")
    draw(root / "train/10000_GT.png", RECT)
    draw(root / "train/10000_GT (copy).png", RECT)
    draw(root / "test/20000_GT.png")
    return {
        "train/10000.png": masked("surface", "defect", RECT),
        "test/20000.png": empty_mask("surface"),
    }


def severstal(root: Path) -> dict[str, Expected]:
    for name in ("train_images/a.jpg", "train_images/b.jpg", "train_images/c.jpg", "test_images/d.jpg"):
        paint(root / name)
    # Columns of 16 pixels, counted from 1: column 2, row 3 is 2·16 + 3 + 1 = 36.
    rect = "36 5 52 5 68 5 84 5 100 5 116 5 132 5"
    other = "194 5 210 5 226 5 242 5"
    write(
        root / "train.csv",
        f"ImageId,ClassId,EncodedPixels\na.jpg,1,{rect}\na.jpg,3,{other}\nb.jpg,4,{other}\n",
    )
    return {
        "train_images/a.jpg": Expected(
            "severstal", False, True, ((2, 3, 9, 8, "class_1"), (12, 1, 16, 6, "class_3")), (RECT, OTHER)
        ),
        "train_images/b.jpg": masked("severstal", "class_4", OTHER),
        "train_images/c.jpg": good("severstal"),
        "test_images/d.jpg": Expected("severstal"),
    }


def severstal_first_form(root: Path) -> dict[str, Expected]:
    for name in ("train_images/a_b.jpg", "train_images/c.jpg"):
        paint(root / name)
    rows = "".join(
        f"{name}_{number},{'194 5 210 5 226 5 242 5' if (name, number) == ('a_b.jpg', 2) else ''}\n"
        for name in ("a_b.jpg", "c.jpg")
        for number in (1, 2, 3, 4)
    )
    write(root / "train.csv", f"ImageId_ClassId,EncodedPixels\n{rows}")
    return {
        "train_images/a_b.jpg": masked("severstal", "class_2", OTHER),
        "train_images/c.jpg": good("severstal"),
    }


def dagm(root: Path) -> dict[str, Expected]:
    for name in ("Class1/Train/0001.PNG", "Class1/Train/0002.PNG", "Class10/Test/0001.PNG"):
        paint(root / name)
    draw(root / "Class1/Train/Label/0002_label.PNG", RECT)
    write(
        root / "Class1/Train/Label/Labels.txt", "1\n1\t0\t0001.PNG\t0\t0\n2\t1\t0002.PNG\t0\t0002_label.PNG\n"
    )
    return {
        "Class1/Train/0001.PNG": good("dagm_class1"),
        "Class1/Train/0002.PNG": masked("dagm_class1", "defect", RECT),
        "Class10/Test/0001.PNG": good("dagm_class10"),
    }


def gc10_det(root: Path) -> dict[str, Expected]:
    for name in ("1/img_01.jpg", "10/img_02.jpg", "2/img_03.jpg"):
        paint(root / name)
    write(root / "lable/img_01.xml", voc_xml(("1_chongkong", 3, 4, 9, 8), ("7_yiwu", 13, 2, 16, 6)))
    write(root / "lable/img_02.xml", voc_xml(("10_yaozhed", 1, 1, 20, 16)))
    return {
        "1/img_01.jpg": boxed("gc10", (2, 3, 9, 8, "punching_hole"), (12, 1, 16, 6, "inclusion")),
        "10/img_02.jpg": boxed("gc10", (0, 0, 20, 16, "waist_folding")),
        "2/img_03.jpg": Expected("gc10"),
    }


def cr7_det(root: Path) -> dict[str, Expected]:
    for name in ("dents1", "oil spots2"):
        paint(root / f"lengzha/image/{name}.jpg")
    write(root / "lengzha/label/dents1.txt", "1 0.35 0.5 0.3 0.25\n")
    write(root / "lengzha/label/oil spots2.txt", "2 0.5 0.5 1 1\n0 0.35 0.5 0.3 0.25")
    return {
        "lengzha/image/dents1.jpg": boxed("steel_strip", (4, 6, 10, 10, "dent")),
        "lengzha/image/oil spots2.jpg": boxed(
            "steel_strip", (0, 0, 20, 16, "oil_spot"), (4, 6, 10, 10, "inclusion")
        ),
    }


def fssd_12(root: Path) -> dict[str, Expected]:
    for name in ("Steel_Am/Images/Steel_Am_1", "Steel_Ws/Images/Steel_Ws_2", "Steel_Ws/Nd/Steel_Ws_1"):
        paint(root / f"{name}.jpg")
    draw(root / "Steel_Am/GT/Steel_Am_1.png", RECT)
    draw(root / "Steel_Ws/GT/Steel_Ws_2.png", OTHER)
    return {
        "Steel_Am/Images/Steel_Am_1.jpg": masked("steel_strip", "abrasion_mask", RECT),
        "Steel_Ws/Images/Steel_Ws_2.jpg": masked("steel_strip", "water_spot", OTHER),
        "Steel_Ws/Nd/Steel_Ws_1.jpg": Expected("steel_strip"),
    }


def mvia_metal(root: Path) -> dict[str, Expected]:
    for name in ("Sc_1", "WSM_2", "7"):
        paint(root / f"images/{name}.jpg")
    write(root / "labels/Sc_1.txt", "0 0.275 0.34375 0.35 0.3125\n")
    write(root / "labels/WSM_2.txt", "3 0.275 0.34375 0.35 0.3125\n0 0.7 0.21875 0.2 0.3125\n")
    draw(root / "mask/Sc_1.png", RECT)
    draw(root / "mask/WSM_2.png", RECT, OTHER, value=2)
    write(root / "annotations/val.json", '{"images": [], "annotations": [], "categories": []}')
    write(root / "val.txt", "images/Sc_1.jpg")
    return {
        "images/Sc_1.jpg": Expected(
            "casting_billet", labelled=True, boxes=((*RECT, "scratch"),), mask=(RECT,)
        ),
        "images/WSM_2.jpg": Expected(
            "casting_billet",
            labelled=True,
            boxes=((*RECT, "water_slag_mark"), (*OTHER, "scratch")),
            mask=(RECT, OTHER),
        ),
        "images/7.jpg": good("casting_billet"),
    }


def mvia_metal_pipe(root: Path) -> dict[str, Expected]:
    for name in ("1", "2"):
        paint(root / f"images/{name}.jpg")
    write(root / "labels/1.txt", "2 0.275 0.34375 0.35 0.3125\n")
    draw(root / "mask/1.png", RECT)
    return {
        "images/1.jpg": Expected("steel_pipe", labelled=True, boxes=((*RECT, "wrinkle"),), mask=(RECT,)),
        "images/2.jpg": good("steel_pipe"),
    }


def neu_det(root: Path) -> dict[str, Expected]:
    paint(root / "IMAGES/crazing_1.jpg")
    write(root / "ANNOTATIONS/crazing_1.xml", voc_xml(("crazing", 3, 4, 9, 8)))
    paint(root / "Validation_Images/rolled-in_scale_7.jpg")
    write(root / "Validation_Annotations/rolled-in_scale_7.xml", voc_xml(("inclusion", 3, 4, 9, 8)))
    return {
        "IMAGES/crazing_1.jpg": boxed("steel_strip", (2, 3, 9, 8, "crazing")),
        "Validation_Images/rolled-in_scale_7.jpg": boxed("steel_strip", (2, 3, 9, 8, "inclusion")),
    }


def neu_det_by_class(root: Path) -> dict[str, Expected]:
    for split in ("train", "validation"):
        paint(root / split / "images/patches/patches_1.jpg")
    write(root / "train/annotations/patches_1.xml", voc_xml(("patches", 3, 4, 9, 8)))
    write(root / "validation/annotations/patches_1.xml", voc_xml(("patches", 13, 2, 16, 6)))
    return {
        "train/images/patches/patches_1.jpg": boxed("steel_strip", (2, 3, 9, 8, "patches")),
        "validation/images/patches/patches_1.jpg": boxed("steel_strip", (12, 1, 16, 6, "patches")),
    }


def voc(root: Path) -> dict[str, Expected]:
    home = root / "VOCdevkit/VOC2012"
    for name in ("1", "2", "3"):
        paint(home / f"JPEGImages/{name}.jpg")
    write(home / "Annotations/1.xml", voc_xml(("dent", 3, 4, 9, 8)))
    write(home / "Annotations/2.xml", voc_xml())
    paint(root / "beside/1.jpg")
    write(root / "beside/1.xml", voc_xml(("pit", 1, 1, 1, 1)))
    return {
        "VOCdevkit/VOC2012/JPEGImages/1.jpg": boxed("surface", (2, 3, 9, 8, "dent")),
        "VOCdevkit/VOC2012/JPEGImages/2.jpg": good("surface"),
        "VOCdevkit/VOC2012/JPEGImages/3.jpg": Expected("surface"),
        "beside/1.jpg": boxed("surface", (0, 0, 1, 1, "pit")),
    }


def yolo(root: Path) -> dict[str, Expected]:
    for name in ("train/1", "train/2", "val/3", "val/4"):
        paint(root / f"images/{name}.jpg")
    # Box (2, 3)–(9, 8): centre (5.5, 5.5) and size (7, 5) in shares of 20×16.
    write(root / "labels/train/1.txt", "1 0.275 0.34375 0.35 0.3125\n")
    # The same as a polygon, and a second rectangle (12, 1)–(16, 6).
    polygons = "0 0.1 0.1875 0.45 0.1875 0.45 0.5 0.1 0.5\n1 0.6 0.0625 0.8 0.0625 0.8 0.375 0.6 0.375\n"
    write(root / "labels/train/2.txt", polygons)
    write(root / "labels/val/3.txt", "")
    write(root / "data.yaml", "path: .\ntrain: images/train\nnames:\n  0: scratch\n  1: dent\n")
    return {
        "images/train/1.jpg": boxed("surface", (2, 3, 9, 8, "dent")),
        "images/train/2.jpg": Expected(
            "surface", False, True, ((2, 3, 9, 8, "scratch"), (12, 1, 16, 6, "dent")), (RECT, OTHER)
        ),
        "images/val/3.jpg": good("surface"),
        "images/val/4.jpg": Expected("surface"),
    }


def coco(root: Path) -> dict[str, Expected]:
    for name in ("train2017/1.jpg", "val2017/1.jpg", "val2017/2.jpg", "val2017/3.jpg"):
        paint(root / name)
    polygon = [2, 3, 9, 3, 9, 8, 2, 8]
    # Runs down columns of 16: background to (12, 1), 5 defective, 11 to the next column, …
    counts = [12 * 16 + 1, 5, 11, 5, 11, 5, 11, 5, 10 + 4 * 16]
    sized = {"width": WIDTH, "height": HEIGHT}
    categories = [{"id": 3, "name": "scratch"}, {"id": 8, "name": "dent"}]
    train = {
        "images": [{"id": 1, "file_name": "1.jpg", **sized}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 3, 7, 5], "segmentation": [polygon]},
            {
                "id": 2,
                "image_id": 1,
                "category_id": 8,
                "bbox": [12, 1, 4, 5],
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts},
            },
        ],
        "categories": categories,
    }
    val = {
        "images": [{"id": "a", "file_name": "1.jpg"}, {"id": "b", "file_name": "val2017/2.jpg"}],
        "annotations": [{"id": 1, "image_id": "a", "category_id": 8, "bbox": [2.5, 3.25, 1, 2]}],
        "categories": categories,
    }
    write(root / "annotations/instances_train2017.json", json.dumps(train))
    write(root / "annotations/instances_val2017.json", json.dumps(val))
    write(root / "annotations/notes.json", json.dumps({"by": "us"}))
    return {
        "train2017/1.jpg": Expected(
            "surface", False, True, ((2, 3, 9, 8, "scratch"), (12, 1, 16, 6, "dent")), (RECT, OTHER)
        ),
        "val2017/1.jpg": boxed("surface", (2.5, 3.25, 3.5, 5.25, "dent")),
        "val2017/2.jpg": good("surface"),
        "val2017/3.jpg": Expected("surface"),
    }


def gdxray(root: Path) -> dict[str, Expected]:
    for name in ("C0001_0001", "C0001_0002", "C0001_0003"):
        paint(root / f"Castings/C0001/{name}.png")
    # As MATLAB wrote them: image, x1, x2, y1, y2, from 1, both ends included.
    write(
        root / "Castings/C0001/ground_truth.txt",
        "   1.0000000e+00   3.0000000e+00   9.0000000e+00   4.0000000e+00   8.0000000e+00\n"
        "   1.0000000e+00   1.3000000e+01   1.6000000e+01   2.0000000e+00   6.0000000e+00\n",
    )
    draw(root / "Castings/C0001/masks/C0001_0003_0.png", RECT, value=255)
    draw(root / "Castings/C0001/masks/C0001_0003_1.png", OTHER, value=255)
    paint(root / "Castings/C0060/C0060_0001.png")
    return {
        "Castings/C0001/C0001_0001.png": boxed("casting", (2, 3, 9, 8, "defect"), (12, 1, 16, 6, "defect")),
        "Castings/C0001/C0001_0002.png": good("casting"),
        "Castings/C0001/C0001_0003.png": masked("casting", "defect", RECT, OTHER),
        "Castings/C0060/C0060_0001.png": Expected("casting"),
    }


def rareplanes(root: Path) -> dict[str, Expected]:
    for name in ("train/PS-RGB_tiled/105_a_tile_1.png", "test/PS-RGB_tiled/107_a_tile_2.png"):
        paint(root / "real" / name)
    paint(root / "real/train/PS-RGB_tiled/105_a_tile_9.png")
    for split, name in (("train", "105_a_tile_1"), ("test", "107_a_tile_2")):
        for kind in ("aircraft", "role"):  # the same images by another attribute
            document = {
                "images": [{"id": 1, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT}],
                "annotations": [
                    {
                        "id": 1,
                        "image_id": 1,
                        "category_id": 1,
                        "bbox": [2, 3, 7, 5],
                        "segmentation": [[2, 3, 9, 3, 9, 8, 2, 8]],
                    }
                ],
                "categories": [{"id": 1, "name": kind}],
            }
            write(root / f"real/metadata_annotations/instances_{split}_{kind}.json", json.dumps(document))
    return {
        "real/train/PS-RGB_tiled/105_a_tile_1.png": masked("aircraft", "aircraft", RECT),
        "real/test/PS-RGB_tiled/107_a_tile_2.png": masked("aircraft", "aircraft", RECT),
        "real/train/PS-RGB_tiled/105_a_tile_9.png": Expected("aircraft"),
    }


def mask_folders(root: Path) -> dict[str, Expected]:
    for name in ("ring1.jpg", "ring2.jpg", "ring3.jpg"):
        paint(root / "train/images" / name)
    draw(root / "train/masks/ring1.png", RECT, value=1)
    draw(root / "train/masks/ring2_mask.png")
    return {
        "train/images/ring1.jpg": masked("surface", "defect", RECT),
        "train/images/ring2.jpg": empty_mask("surface"),
        "train/images/ring3.jpg": Expected("surface"),
    }


Tree = Callable[[Path], dict[str, Expected]]
TREES: dict[str, tuple[str, Tree]] = {  # test → (layout, tree)
    "folder": ("folder", folder),
    "masks": ("masks", masks),
    "magnetic_tile": ("magnetic_tile", magnetic_tile),
    "mvtec": ("mvtec", mvtec),
    "visa": ("visa", visa),
    "kolektor_sdd": ("kolektor_sdd", kolektor_sdd),
    "kolektor_sdd2": ("kolektor_sdd2", kolektor_sdd2),
    "severstal": ("severstal", severstal),
    "severstal, first form": ("severstal", severstal_first_form),
    "dagm": ("dagm", dagm),
    "gc10_det": ("gc10_det", gc10_det),
    "cr7_det": ("cr7_det", cr7_det),
    "fssd_12": ("fssd_12", fssd_12),
    "mvia_metal": ("mvia_metal", mvia_metal),
    "neu_det": ("neu_det", neu_det),
    "neu_det, by class": ("neu_det", neu_det_by_class),
    "voc": ("voc", voc),
    "yolo": ("yolo", yolo),
    "coco": ("coco", coco),
    "gdxray": ("gdxray", gdxray),
    "rareplanes": ("rareplanes", rareplanes),
    "mask_folders": ("mask_folders", mask_folders),
}
