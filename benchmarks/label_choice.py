"""The benchmark `label_choice`: mAP after labelling the images of `agssp next`, against random ones."""

import json
import os
import shutil
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.registry import SHARED_DATA, Row, at_least
from cluster.config import validate
from cluster.stages import Artifact, digest
from pipelines.boxes import coco_annotation
from pipelines.choice import EMBEDDINGS_FOLDER, NextSection, Pool, choose, read_embeddings
from pipelines.tables import REFERENCE, CorpusTables
from training.detection import shuffled
from training.opening import open_pipeline
from training.project import Project
from tuning.gain.statistics import paired_gain

WEIGHTS = SHARED_DATA.parent / "weights" / "yolov8n_coco_int8.safetensors"
SEED_COUNT = "AGSSP_BENCH_SEEDS"
COUNTS = (50, 100)
POOL, TEST = 300, 200  # images of a seed's pool, drawn anew for each seed; images measured on
POOLS = 20  # of the figures that need no training
LEARNT_PER_LABEL = 32  # images that a training sees in all, by label: as many steps whatever was chosen
SIDE = 128
WAYS = ("chosen", "random")
GENERATED: Mapping[str, Any] = {
    "generate": {"seed": 81, "images_per_category": 60},
    "corpus": {"test_share": 0, "reference_count": 4},
    "maps": {"kead": {"shots": 4}},
}
NEU_DET: Mapping[str, Any] = {
    "corpus": {
        "root": str(SHARED_DATA / "neu_det"),
        "layout": "neu_det",
        "test_share": 0.5,
        "reference_count": 0,
    },
    "maps": {"kead": {"shots": 0}},
}
# Seven of ten show no defect, as on a line.
MAGNETIC_TILE: Mapping[str, Any] = {
    "corpus": {"root": str(SHARED_DATA / "magnetic_tile"), "layout": "magnetic_tile", "test_share": 0.5},
    "maps": {"kead": {"shots": 4}},
}


@dataclass(frozen=True)
class Image:
    """An image of a set, with what is known of it and what the choice reads."""

    image_id: str
    uri: str
    category: str
    width: int
    height: int
    boxes: Sequence[Mapping[str, Any]]
    score: float
    embedding: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Surfaces:
    """A set: images that may be labelled, and images to measure on."""

    name: str
    free: Sequence[Image]
    test: Sequence[Image]


def run() -> Iterator[Row]:
    """Defects among the images, and mAP@0.5 in percent; a pair is one pool and one seed of training."""
    seeds = range(int(os.environ.get(SEED_COUNT, "5")))
    documents = {"generated": GENERATED, "neu_det": NEU_DET, "magnetic_tile": MAGNETIC_TILE}
    with tempfile.TemporaryDirectory() as folder:
        for name, document in documents.items():
            if name != "generated" and not (SHARED_DATA / name).is_dir():
                yield Row(f"{name}: label choice", None, f"skipped, {SHARED_DATA / name} is absent")
                continue
            whole = {"name": "label-choice", "workspace": f"{folder}/stages", **document}
            with open_pipeline(validate(Project, whole, "Project"), "label choice", "maps") as pipeline:
                surfaces = surfaces_of(name, pipeline.corpus, pipeline.maps, pipeline.embeddings)
            for count in COUNTS:
                yield from compared(surfaces, count, seeds, Path(folder))


def surfaces_of(name: str, corpus: Artifact, maps: Artifact, embeddings: Artifact) -> Surfaces:
    """A set from its stages; where no image is held out, the test images are drawn from the others."""
    ids, vectors = read_embeddings(embeddings.directory.at(EMBEDDINGS_FOLDER))
    scores = maps.directory.read_table("maps", columns=["image_id", "score"]).to_pylist()
    return set_of(
        name,
        CorpusTables(corpus.directory),
        {row["image_id"]: row["score"] for row in scores},
        dict(zip(ids, vectors, strict=True)),
    )


def set_of(
    name: str,
    tables: CorpusTables,
    scores: Mapping[str, float],
    embeddings: Mapping[str, npt.NDArray[np.float32]],
) -> Surfaces:
    """A set from its tables, map scores and embeddings by image."""
    labels, none = tables.boxes(), np.zeros(0, np.float32)
    halves: dict[str, list[Image]] = {"train": [], "test": []}
    for row in tables.manifest():
        one = row["image_id"]
        if row["role"] != REFERENCE and one in labels and row["split"] in halves:
            image = Image(
                *(one, row["uri"], row["category"], row["width"], row["height"]),
                *(labels[one], scores[one], embeddings.get(one, none)),
            )
            halves[row["split"]].append(image)
    free, test = shuffled(halves["train"], 0), shuffled(halves["test"], 0)[:TEST]
    return Surfaces(name, free, test) if test else Surfaces(name, free[TEST:], free[:TEST])


def picked(surfaces: Surfaces, way: str, count: int, seed: int) -> list[Image]:
    """The images that are labelled: of the seed's pool those of `agssp next`, or random ones."""
    pool = shuffled(surfaces.free, 1000 + seed)[:POOL]
    if way == "random":
        return shuffled(pool, 2000 + seed)[:count]
    chosen = choose(
        Pool(
            image_ids=[image.image_id for image in pool],
            categories=[image.category for image in pool],
            scores=np.array([image.score for image in pool]),
            groups=[image.image_id for image in pool],
            embeddings=np.stack([image.embedding for image in pool]),
        ),
        NextSection(count=count),
        seed,
    )
    return [pool[one.row] for one in chosen]


def compared(surfaces: Surfaces, count: int, seeds: Sequence[int], folder: Path) -> Iterator[Row]:
    """The rows of one set and number of labels."""
    yield from shown(surfaces, count)
    figures: dict[str, dict[int, float]] = {way: {} for way in WAYS}
    for seed in seeds if WEIGHTS.exists() else ():
        for way in WAYS:
            figures[way][seed] = trained(surfaces, picked(surfaces, way, count, seed), seed, folder)
            said = f"{surfaces.name}, {count} labels, seed {seed}, {way}"
            yield Row(f"{said}: mAP@0.5, percent", 100 * figures[way][seed])
    gain = paired_gain(figures["chosen"], figures["random"])
    what = f"{surfaces.name}, {count} labels: chosen less random, points of mAP@0.5"
    if gain is None:
        yield Row(what, None, f"skipped, {WEIGHTS} is absent")
        return
    yield at_least(what, 100 * gain.mean, 0)
    if gain.interval is not None:
        low, high = gain.interval
        yield Row(f"{what}, least of the 95 % interval", 100 * low)
        yield Row(f"{what}, most of the 95 % interval", 100 * high)


def shown(surfaces: Surfaces, count: int) -> Iterator[Row]:
    """What the images show that are labelled, before anything is trained: means over many pools."""
    for way in WAYS:
        drawn = [picked(surfaces, way, count, seed) for seed in range(POOLS)]
        boxes = [[box["label"] for image in images for box in image.boxes] for images in drawn]
        rarest = [min(Counter(labels).values(), default=0) for labels in boxes]
        figures = {
            "images with a defect": [sum(bool(image.boxes) for image in images) for images in drawn],
            "boxes": [len(labels) for labels in boxes],
            "classes": [len(set(labels)) for labels in boxes],
            "boxes of the rarest class that is there": rarest,
        }
        for what, values in figures.items():
            said = f"{surfaces.name}, {count} labels, {way}: {what}"
            yield Row(f"{said}, mean of {POOLS} pools", statistics.fmean(values))


def trained(surfaces: Surfaces, images: Sequence[Image], seed: int, folder: Path) -> float:
    """mAP@0.5 on the test images, 0–1, of YOLOv8n finetuned from COCO weights on these images."""
    boxed = sum(bool(image.boxes) for image in images)
    learnt = boxed + min(len(images) - boxed, round(boxed / 4))  # a fifth may be background
    project = {
        "name": "label-choice",
        "workspace": f"{folder}/stages",
        "seed": seed,
        "scaling": {"workers": 0},
        "finetune": {
            "image_size": SIDE,
            "resize": "square",
            "starts": ["weights"],
            "weights": {"weights": str(WEIGHTS)},
            "data": {
                "train": {"root": written(images, folder), "layout": "coco"},
                "test": {"root": written(surfaces.test, folder), "layout": "coco"},
                "max_bad_share": 0,
            },
            "validation_share": 0,
            "augment": {"mosaic": 0},
            "loop": {
                "epochs": max(1, round(LEARNT_PER_LABEL * len(images) / learnt)),
                "batch_size": 8,
                "warmup_epochs": 1,
                "best_metric": None,
                "eval_every": 1000,
            },
        },
    }
    with open_pipeline(validate(Project, project, "Project"), "label choice", "finetune") as pipeline:
        return float(pipeline.evaluated("weights").results["map50"])


def written(images: Sequence[Image], folder: Path) -> str:
    """A folder of copies of the images, with their boxes as COCO; made once for the same images."""
    target = folder / "data" / digest([image.image_id for image in images])[:16]
    if (target / "coco.json").exists():
        return str(target)
    target.mkdir(parents=True, exist_ok=True)
    classes = {box["label"] for image in images for box in image.boxes}
    numbers = {label: number for number, label in enumerate(sorted(classes), start=1)}
    document: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    for number, image in enumerate(images, start=1):
        name = f"{image.image_id}{Path(image.uri).suffix}"
        shutil.copyfile(image.uri, target / name)
        about = {"id": number, "file_name": name, "width": image.width, "height": image.height}
        document["images"].append(about)
        for box in image.boxes:
            place = len(document["annotations"]) + 1
            scored = {"score": 1.0, **box}
            document["annotations"].append(
                coco_annotation(scored, place, image=number, category=numbers[box["label"]])
            )
    document["categories"] = [{"id": number, "name": label} for label, number in numbers.items()]
    (target / "coco.json").write_text(json.dumps(document))
    return str(target)
