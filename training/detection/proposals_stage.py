"""The proposals stage: what a pretrained detector finds on the pretraining images, for its next round."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from cluster.on_ray import Sender, machine_cpus
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.storage import Storage
from pipelines.tables import (
    ACTOR_CPUS,
    BOXES,
    IDENTITY,
    LEVELS,
    PREDICTED_BOX,
    SIZE,
    CorpusTables,
    Step,
    actor_pool,
    job_place,
    run_table_job,
    write_listing,
)
from training.detection.section import FLOOR
from training.models import DetectorTiles, Flips, Preprocessing
from training.models.detectors import Detector
from training.pictures import lost_image
from training.prediction import (
    PredictSection,
    UnreadableImage,
    look_as,
    on_onnx,
    ready,
    take_runtime,
    tiles_of,
)
from training.prediction.predict import predict
from training.starts import WEIGHTS_FILE, load_detector

PROPOSALS_FILE = "proposals.parquet"
LISTED = ("image_id", "uri", "category", "width", "height", "split")
FOUND = pa.schema([*IDENTITY, *SIZE, LEVELS, ("boxes", pa.list_(PREDICTED_BOX)), ("error", pa.string())])


def propose_boxes(
    section: PredictSection, *, site: Site, corpus: Artifact, detector: Artifact, cut: DetectorTiles
) -> Artifact:
    """Run a round's detector over the images outside the test split, as they are, nothing painted.

    Writes `proposals.parquet`, the boxes table's columns: every detection of a score of `FLOOR` or more.

    Args:
        section: workers and batch size; they change no result.
        site: workspace, which every worker reaches, and tracking run.
        corpus, detector: the stages' artifacts.
        cut: how the detector's training cut images into tiles.

    Raises:
        UserError: an image is gone; actors that leave no CPU for reading and writing.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        manifest = unseen_images(CorpusTables(corpus.directory))
        title = "proposals: finding defects for the next round"
        rows = detected(title, manifest, bench=bench, section=looking(section, cut), detector=detector)
        bench.directory.write_table(PROPOSALS_FILE, pa.Table.from_pylist(rows, schema=BOXES))
        return found_counts(rows)

    return ensure(
        "proposals",
        site=site,
        config={"floor": FLOOR, **cut.deciding_tiles},
        inputs={"corpus": corpus, "detector": detector},
        body=body,
    )


def looking(section: PredictSection, trained: DetectorTiles, flips: Flips = ()) -> PredictSection:
    """The workers' settings, with images looked at as in a training, whatever predictions of others do.

    Args:
        section: workers and batch size.
        trained: how that training cut images into tiles.
        flips: the mirror images to look at too, of those that it learnt from.
    """
    told = {"tiles": trained.tiles, "tile_overlap": trained.tile_overlap, "flips": flips, "precision": "fp32"}
    return section.model_copy(update=told)


def unseen_images(tables: CorpusTables) -> pa.Table:
    """The images outside the test split: their identity, sizes and `levels`."""
    manifest = tables.manifest_table(LISTED)
    keep = [split != "test" for split in manifest.column("split").to_pylist()]
    manifest = manifest.drop_columns(["split"]).filter(pa.array(keep))
    levels = tables.levels()
    pairs = [levels.get(one) for one in manifest.column("image_id").to_pylist()]
    return manifest.append_column("levels", pa.array(pairs, pa.list_(pa.float64())))


def detected(
    title: str,
    manifest: pa.Table,
    *,
    bench: Workbench,
    section: PredictSection,
    detector: Artifact,
) -> list[dict[str, Any]]:
    """What a detector finds on images as they are: every detection of a score of `FLOOR` or more.

    Args:
        title: shown beside the progress bar.
        manifest: the images, as `unseen_images` lists them.
        bench: the stage's workbench; what a killed call has looked at is not looked at again.
        section: see `looking`.
        detector: a detector's or a finetuning's artifact.

    Returns:
        A row an image, by id: its columns, and `boxes` with scores and labels.

    Raises:
        UserError: an image is gone; actors that leave no CPU for reading and writing.
    """
    work, found = bench.directory.at("detecting"), bench.directory.at("detecting", "found")
    place = job_place(work, found, manifest.num_rows, actors=section.actors)
    pool = actor_pool("predict", section, place.resources())
    loaded = look_as(section, _loaded(detector.directory))
    inputs = _inputs(manifest, loaded.cut, loaded.preprocessing)
    onnx = take_runtime(section, loaded, work, inputs=inputs, gpus=pool.gpus)
    run_table_job(
        title,
        source=write_listing(work.at("listing"), manifest),
        work=work,
        target=found,
        steps=[
            Step(
                ProposeActor,
                {
                    "weights": detector.directory,
                    "cuda": pool.gpus > 0,
                    "section": section,
                    "onnx": work if onnx else None,
                    "detector": loaded if place.here else None,
                },
                actors=pool.actors,
                cpus=ACTOR_CPUS,
                gpus=pool.gpus,
                batch_size=section.batch_size,
                counted=True,
            )
        ],
        id_column="image_id",
        total=manifest.num_rows,
        here=place.here,
    )
    rows: list[dict[str, Any]] = found.read_table("").sort_by("image_id").to_pylist()
    if len(rows) != manifest.num_rows:
        raise RuntimeError(
            f"{found.uri} holds {len(rows)} rows for {manifest.num_rows} images; delete {work.uri} and "
            "run again."
        )
    lost = [row for row in rows if row["error"] is not None]
    bench.directory.delete("detecting")  # else a mended image's row would be taken for done
    if lost:
        raise lost_image(lost[0]["uri"], lost[0]["error"])
    return rows


def found_counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Counts of images and detections for the stage's record."""
    counts = [len(row["boxes"]) for row in rows]
    return {"images": len(rows), "with_boxes": int(np.count_nonzero(counts)), "boxes": sum(counts)}


class ProposeActor:
    """Holds the detector; reads images and finds boxes in them.

    Args:
        weights: directory of the detector's file.
        cuda: whether the actor has (a share of) a GPU.
        section: how images are looked at, and tiles of an image at once.
        onnx: where `take_runtime` left its file, if it took onnxruntime.
        detector: the loaded detector, which is made ready here; None loads it.
        counter: counter of finished images.
    """

    def __init__(
        self,
        weights: Storage,
        cuda: bool,
        section: PredictSection,
        onnx: Storage | None,
        detector: Detector | None = None,
        counter: Sender | None = None,
    ) -> None:
        torch.set_num_threads(machine_cpus())
        detector = detector or _loaded(weights)
        detector = detector if onnx is None else on_onnx(detector, onnx)
        self.device, self.counter = torch.device("cuda" if cuda else "cpu"), counter
        self.section, self.detector = section, ready(look_as(section, detector), self.device)

    def __call__(self, rows: pa.Table) -> pa.Table:
        listed = {row["image_id"]: row for row in rows.to_pylist()}
        levels = {key: (pair[0], pair[1]) for key, row in listed.items() if (pair := row["levels"])}
        results = predict(
            self.detector,
            {key: row["uri"] for key, row in listed.items()},
            device=self.device,
            batch_size=self.section.batch_size,
            min_score=FLOOR,
            levels=levels,
        )
        for result in results:
            row = listed[result.image_id]
            if isinstance(result, UnreadableImage):
                row |= {"boxes": [], "error": result.reason}
            else:
                row |= {"boxes": result.row(self.detector.classes)["boxes"], "error": None}
        if self.counter is not None:
            self.counter.add(rows.num_rows)
        return pa.Table.from_pylist(list(listed.values()), schema=FOUND)


def _inputs(manifest: pa.Table, cut: DetectorTiles, preprocessing: Preprocessing) -> int:
    """Images, or tiles of them, that the detector is shown."""
    if cut.tiles == "off":
        return int(manifest.num_rows)
    sides = zip(*(manifest.column(side).to_pylist() for side in ("width", "height")), strict=True)
    return sum(len(tiles_of(width, height, cut, preprocessing)) for width, height in sides)


def _loaded(directory: Storage) -> Detector:
    with directory.local_copy(WEIGHTS_FILE) as path:
        return load_detector(path)
