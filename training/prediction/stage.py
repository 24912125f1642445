"""The predict stage: a trained detector over any images by Ray Data, resumable row by row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from cluster.on_ray import Sender, machine_cpus
from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.storage import Storage
from pipelines.boxes import coco_document
from pipelines.corpus import listing_digest
from pipelines.images import Levels
from pipelines.tables import (
    ACTOR_CPUS,
    PREDICTIONS,
    QUARANTINE,
    Step,
    actor_pool,
    check_bad_share,
    job_place,
    run_table_job,
    write_listing,
)
from training.models.detectors import Detector
from training.prediction.readiness import look_as, ready
from training.prediction.rows import alike, draw_rows, predict_rows, predict_tiled_rows, read_rows
from training.prediction.runtime import on_onnx, say_precision, take_runtime
from training.prediction.section import PredictSection
from training.prediction.tiled import tiles_of_first
from training.starts import WEIGHTS_FILE, ModelSource, load_detector

RESULT_KEYS = ("image_id", "category_id", "bbox", "score")


def predict_images(
    section: PredictSection,
    *,
    files: pa.Table,
    model: ModelSource,
    site: Site,
) -> Artifact:
    """Find boxes in images.

    Writes `predictions.parquet`, `quarantine.parquet`, `coco.json` (images, classes and boxes with scores),
    `results.json` (COCO's list of results, image ids as in `coco.json`) and, if asked, `drawn/`
    with `NAME.jpg` of each image (`NAME.SUFFIX.jpg` where two images differ by the suffix alone).

    Args:
        section: the config.
        files: table from `find_images`.
        model: the detector.
        site: workspace, which every worker reaches, and tracking run.

    Raises:
        UserError: not a detector's file; more unreadable images than `section.max_bad_share`; actors that
            leave no CPU for reading and writing.
    """
    detector = look_as(section, load_detector(model.path))
    cut, levels = detector.cut, section.levels or detector.levels
    if section.tiles == "learnt" and cut.tiles != "off":
        say(f"predict: images are cut into tiles as in the detector's training (tiles={cut.tiles})")

    def body(bench: Workbench) -> Mapping[str, Any]:
        work, predicted = bench.directory.at("work"), bench.directory.at("work", "found")
        work.put(model.path, WEIGHTS_FILE)  # every worker reaches it there
        source = write_listing(work.at("listing"), files)
        place = job_place(work, predicted, files.num_rows, actors=section.actors)
        pool = actor_pool("predict", section, place.resources())
        tiled = cut.tiles != "off"
        each = tiles_of_first(files, cut, detector.preprocessing, levels) if tiled else 1
        inputs = files.num_rows * each
        if not pool.gpus:
            say_precision(section, detector, inputs=inputs)
        onnx = take_runtime(section, detector, work, inputs=inputs, gpus=pool.gpus)
        reading = Step(
            read_rows,
            {"preprocessing": detector.preprocessing, "levels": levels},
            batch_size=section.batch_size,
        )
        steps = [
            *([] if tiled else [reading]),  # tiles are cut where they are seen: pixels of scans are many
            Step(
                PredictActor,
                {
                    "weights": work,
                    "section": section,
                    "cuda": pool.gpus > 0,
                    "levels": levels,
                    "onnx": onnx,
                    "detector": detector if place.here else None,
                },
                actors=pool.actors,
                cpus=ACTOR_CPUS,
                gpus=pool.gpus,
                batch_size=1 if tiled else section.batch_size,
                counted=not section.draw,  # the last step counts: what is shown as done is done
            ),
        ]
        if section.draw:
            target = bench.directory.at("drawn")
            kept = alike(files.column("name").to_pylist())
            drawing = {"target": target, "side": section.drawn_side, "levels": levels, "kept": kept}
            steps.append(Step(draw_rows, drawing, batch_size=section.batch_size, counted=True))
        run_table_job(
            "predict: finding defects",
            source=source,
            work=work,
            target=predicted,
            steps=steps,
            id_column="uri",
            total=files.num_rows,
            here=place.here,
        )
        rows = predicted.read_table("").to_pylist()
        results = _finish(bench, rows, files.num_rows, section, detector.classes)
        bench.directory.delete("work")
        return {"model": model.name, **results}

    return ensure(
        "predict",
        site=site,
        config=section.deciding,
        inputs={},
        extra={"model": model.digest, "images": listing_digest(files)},
        body=body,
        # All bits; levels; boxes outside the image take no place; classes in the model's order; drawn files'
        # names have one suffix; batch norms folded and convolutions channels last, which rounds otherwise;
        # strips are averaged.
        revision=5,
    )


class PredictActor:
    """Holds the detector; finds boxes in batches of laid-out images, or in images that it reads and cuts.

    Args:
        weights: directory of the detector's file.
        section: the stage's config.
        cuda: whether the actor has (a share of) a GPU.
        levels: how images of more than 8 bits become 8, of those it reads itself.
        onnx: whether `take_runtime` took onnxruntime.
        detector: the loaded detector, which is made ready here; None loads it.
        counter: counter of finished images.
    """

    def __init__(
        self,
        weights: Storage,
        section: PredictSection,
        cuda: bool,
        levels: Levels | None,
        onnx: bool,
        detector: Detector | None = None,
        counter: Sender | None = None,
    ) -> None:
        torch.set_num_threads(machine_cpus())
        self.device = torch.device("cuda" if cuda else "cpu")
        if detector is None:
            with weights.local_copy(WEIGHTS_FILE) as path:
                detector = load_detector(path)
        detector = on_onnx(detector, weights) if onnx else detector
        self.detector = ready(look_as(section, detector), self.device)
        self.section, self.levels, self.counter = section, levels, counter

    def __call__(self, rows: pa.Table) -> pa.Table:
        if self.detector.cut.tiles == "off":
            done = predict_rows(rows, self.detector, self.device, self.section.min_score)
        else:
            done = predict_tiled_rows(rows, self.detector, self.device, self.section, self.levels)
        if self.counter is not None:
            self.counter.add(done.num_rows)
        return done


def _finish(
    bench: Workbench,
    rows: list[dict[str, Any]],
    total: int,
    section: PredictSection,
    classes: tuple[str, ...],
) -> Mapping[str, Any]:
    """Sort rows into predictions and quarantine, write every form of them, count."""
    if len({row["uri"] for row in rows}) != len(rows) or len(rows) != total:
        raise RuntimeError(
            f"{bench.directory.uri} holds {len(rows)} rows for {total} images; delete it and run again."
        )
    rows.sort(key=lambda row: str(row["uri"]))
    bad = [{"uri": row["uri"], "stage": "predict", "reason": row["error"]} for row in rows if row["error"]]
    good = [row for row in rows if not row["error"]]
    first = f"{bad[0]['uri']}: {bad[0]['reason']}" if bad else ""
    bench.directory.write_table("quarantine.parquet", pa.Table.from_pylist(bad, schema=QUARANTINE))
    where = bench.directory.uri_of("quarantine.parquet")
    check_bad_share(len(bad), total, section.max_bad_share, "predict", first, tables=where)
    bench.directory.write_table("predictions.parquet", pa.Table.from_pylist(good, schema=PREDICTIONS))
    document = coco_document(good, classes)
    bench.directory.write_json("coco.json", document)
    bench.directory.write_json(
        "results.json", [{key: item[key] for key in RESULT_KEYS} for item in document["annotations"]]
    )
    counts = [len(row["boxes"]) for row in good]
    labels = [box["label"] for row in good for box in row["boxes"]]
    figures = {
        "images": len(good),
        "quarantined": len(bad),
        "with_boxes": int(np.count_nonzero(counts)),
        "boxes": sum(counts),
    }
    bench.run.log_metrics({name: float(value) for name, value in figures.items()})
    by_class = {name: labels.count(name) for name in classes}
    return {**figures, "classes": list(classes), "boxes_by_class": by_class}
