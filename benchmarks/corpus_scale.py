"""Time and driver's memory against rows: a corpus listed and sorted, maps by a stub encoder, boxes, resume.

Each size is a process of its own. Rows name a thousand small pictures in turn, and the encoder costs next to
nothing, so that what grows is the platform's share. `AGSSP_BENCH_SCALE` sets the sizes, `10000,100000` by
default. "driver" is a maps job of which every row is done, in this process without Ray: what the driver
itself does with the rows, and the resume filter's ids. "corpus" makes a corpus' tables of an inspection that
is there, of ten thousand perceptual hashes at most: comparing all pairs of them is `near_duplicates`.
`AGSSP_BENCH_SCALE_STEPS` names the steps.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from benchmarks.maps_job import tiny_encoder
from benchmarks.registry import Row, at_most
from cluster.on_ray import RaySection, ray_session, start_ray
from cluster.stages import RECORD, Artifact, Site
from cluster.storage import Storage
from cluster.tracking import Tracker, TrackingSection
from pipelines.boxes import BoxesSection, derive_boxes
from pipelines.corpus import INSPECTED, Corpus, CorpusSection, Listing, joined_inspection
from pipelines.maps import MapsSection, make_maps
from pipelines.tables import LISTED

PICTURES, SIDE = 1_000, 32
SIZES = "10000,100000"
MILLION = 1_000_000
MOST_MB, MOST_RESUME_S, MOST_BEND = 500, 60, 1.1
STEPS = ("listing", "corpus", "driver", "maps", "resume", "boxes")
ON_RAY = STEPS[3:]
HASHES = 10_000
ALIKE = 65_536  # rows of a file of the table that stands for finished maps


def run() -> Iterator[Row]:
    """A table by rows, what a million rows would take by the slope of the largest two sizes, and its bend."""
    sizes = [int(size) for size in os.environ.get("AGSSP_BENCH_SCALE", SIZES).split(",")]
    wanted = os.environ.get("AGSSP_BENCH_SCALE_STEPS", ",".join(STEPS)).split(",")
    measured = {size: _child(size, wanted) for size in sizes}
    for size, figures in measured.items():
        for step in wanted:
            for kind, unit in (
                ("cpu", "the driver's CPU seconds"),
                ("wall", "seconds"),
                ("mb", "the driver grows by, MB"),
            ):
                yield Row(f"{size:,} rows, {step}: {unit}", figures[step][kind])
    if len(sizes) < 2:
        yield Row("growth", None, "one size tells none; see AGSSP_BENCH_SCALE")
        return
    small, large = sizes[-2:]
    for step in wanted:
        for kind, goal in (
            ("mb", MOST_MB),
            ("wall", MOST_RESUME_S if step in ("driver", "resume") else None),
        ):
            slope = (measured[large][step][kind] - measured[small][step][kind]) / (large - small)
            value = measured[large][step][kind] + slope * (MILLION - large)
            figure = "MB by which the driver grows" if kind == "mb" else "seconds"
            what = f"{step} of {MILLION:,} rows, by the slope: {figure}"
            if slope <= 0:
                yield Row(what, None, "the sizes are too small to tell; see AGSSP_BENCH_SCALE")
            else:
                yield Row(what, value) if goal is None else at_most(what, value, goal)
        if len(sizes) > 2:
            bend = _bend([(size, measured[size][step]["cpu"]) for size in sizes[-3:]])
            yield at_most(
                f"{step}: CPU seconds a row, the last interval's by the one before", bend, MOST_BEND
            )


def _bend(points: list[tuple[int, float]]) -> float:
    (first, a), (second, b), (third, c) = points
    return ((c - b) / (third - second)) / ((b - a) / (second - first))


def _child(size: int, steps: Sequence[str]) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "benchmarks.corpus_scale", str(size), *steps]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measured(work: Callable[[], object]) -> dict[str, float]:
    """Wall seconds, CPU seconds of this process, and MB by which it grew at most.

    What Ray's processes take is in the wall time alone: those that end meanwhile take their count along.
    """
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _resident("VmRSS")  # libraries, and what a step before has left
    wall, cpu = time.monotonic(), time.process_time()
    work()
    return {
        "wall": time.monotonic() - wall,
        "cpu": time.process_time() - cpu,
        "mb": _resident("VmHWM") - before,
    }


def _resident(what: str) -> float:
    """`VmRSS`, or `VmHWM` for its peak, in MB."""
    found = re.findall(rf"{what}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[0]) / 1024


def _listed(root: Path, size: int) -> None:
    """Empty files stand for images: a listing reads names, sizes and times."""
    for number in range(size):
        if number % 1000 == 0:
            folder = root / "steel_strip" / "train" / f"{number:07d}"
            folder.mkdir(parents=True)
        (folder / f"{number:07d}.png").touch()


def _list(root: Path, size: int) -> None:
    listing = Listing(CorpusSection(root=str(root), layout="folder"))
    listing.digest()
    rows = sum(batch.num_rows for batch in listing.batches())  # as an inspection goes through them
    if rows != size:
        raise RuntimeError(f"{rows} images listed of {size}")


def _inspection(target: Storage, size: int) -> list[pa.RecordBatch]:
    """Writes what was read of as many images, a tenth labelled with a box; the images as they are listed."""
    random = np.random.default_rng(0)
    hashes = [random.bytes(32).hex() for _ in range(min(size, HASHES))]
    box = {"x0": 1.0, "y0": 2.0, "x1": 3.0, "y1": 4.0, "label": "dent"}
    listed, read = [], []
    for start in range(0, size, ALIKE):
        listing, looked = [], []
        for number in range(start, min(start + ALIKE, size)):
            path, labelled = f"steel_strip/train/{number // 1000:07d}/{number:07d}.png", number % 10 == 0
            uri = f"/data/corpus/{path}"
            about = {"uri": uri, "path": path, "category": "steel_strip", "normal": False}
            listing.append({**about, "labelled": labelled})
            image_id = hashlib.sha256(path.encode()).hexdigest()[:32]
            looks = {"image_id": image_id, "width": SIDE, "height": SIDE, "phash": hashes[number % HASHES]}
            greys = {"grey_mean": 99.0, "grey_deviation": 9.0}
            boxes = {"boxes": [box] if labelled else [], "ignored": [], "faults": [], "empty": False}
            looked.append({"uri": uri, **looks, **greys, **boxes})
        listed += pa.Table.from_pylist(listing, schema=LISTED).to_batches(4096)
        read.append(pa.Table.from_pylist(looked, schema=INSPECTED))
    target.write_table("taken.parquet", pa.concat_tables(read))
    return listed


def _sort(folder: Path, listed: list[pa.RecordBatch]) -> None:
    def uris() -> pa.Array:
        return pa.concat_arrays([batch.column("uri") for batch in listed])

    images = joined_inspection(Storage.open(str(folder)), listed, uris)
    corpus = Corpus(images, CorpusSection(root=str(folder)), {})
    target = Storage.open(str(folder / "corpus"))
    for name, (schema, pieces) in corpus.pieces().items():
        target.write_pieces(f"{name}.parquet", schema, pieces)
    rows = target.read_table("manifest.parquet", columns=["image_id"]).num_rows
    if not rows == corpus.counts()["images"] == sum(batch.num_rows for batch in listed):
        raise RuntimeError(f"{rows} rows of {corpus.counts()}")


def _manifest(folder: Path, size: int) -> pa.Table:
    """A manifest whose rows name the pictures in turn."""
    random = np.random.default_rng(0)
    pictures = [str(folder / f"{number}.png") for number in range(min(size, PICTURES))]
    for picture in pictures:
        cv2.imwrite(picture, random.integers(0, 256, (SIDE, SIDE, 3), np.uint8))
    columns: dict[str, Any] = {
        "image_id": [f"{number:032x}" for number in range(size)],
        "uri": [pictures[number % len(pictures)] for number in range(size)],
        "category": ["steel_strip"] * size,
        "split": ["unlabelled"] * size,
        "role": ["train"] * size,
        "width": [SIDE] * size,
        "height": [SIDE] * size,
        "levels": pa.nulls(size, pa.list_(pa.float64())),
    }
    return pa.table(columns)


def _figures(size: int, steps: Sequence[str]) -> dict[str, dict[str, float]]:
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        tiny_encoder(folder / "tiny")
        if "listing" in steps:
            _listed(folder / "listed", size)
            figures["listing"] = _measured(lambda: _list(folder / "listed", size))
        if "corpus" in steps:
            listed = _inspection(Storage.open(str(folder / "inspection")), size)
            figures["corpus"] = _measured(lambda: _sort(folder / "inspection", listed))
        manifest = _manifest(folder / "pictures", size)
        if "driver" in steps:
            with ray_session(RaySection(small_job=MILLION)):
                figures["driver"] = _driver(folder, manifest)
        if set(steps) & set(ON_RAY):
            with ray_session(RaySection(small_job=0)):
                figures |= _on_ray(folder, manifest)
    return {step: figures[step] for step in steps}


def _section(folder: Path) -> MapsSection:
    return MapsSection.model_validate(
        {"encoder": {"model": str(folder / "tiny")}, "kead": {"shots": 0}, "batch_size": 32}
    )


def _corpus(workspace: Storage, manifest: pa.Table) -> Artifact:
    corpus = workspace.at("corpus")
    corpus.write_table("manifest/part-0.parquet", manifest)
    return Artifact("corpus", "0" * 16, corpus, {"results": {}}, reused=True)


def _driver(folder: Path, manifest: pa.Table) -> dict[str, float]:
    """A job of 64 rows tells where its artifact is; there all rows stand as done, and the job goes on."""
    workspace = Storage.open(str(folder / "driver"))
    workspace.create()
    section = _section(folder)
    with Tracker.open(TrackingSection(), workspace).pipeline("bench", {}) as tracked:
        site = Site(workspace, tracked)
        few = make_maps(section, site=site, corpus=_corpus(workspace, manifest.slice(0, 64)))
        row = few.directory.read_table("maps").slice(0, 1)
        for name in (RECORD, "maps", "listing/rows", "listing/complete"):
            few.directory.delete(name)
        for start in range(0, manifest.num_rows, ALIKE):
            ids = manifest.column("image_id").slice(start, ALIKE)
            done = row.take(pa.array(np.zeros(len(ids), np.int64)))
            done = done.set_column(done.column_names.index("image_id"), "image_id", ids)
            few.directory.write_table(f"maps/part-{start:07d}.parquet", done)
        corpus = _corpus(workspace, manifest)
        return _measured(lambda: make_maps(section, site=site, corpus=corpus))


def _on_ray(folder: Path, manifest: pa.Table) -> dict[str, dict[str, float]]:
    figures = {}
    workspace = Storage.open(str(folder / "workspace"))
    workspace.create()
    section, corpus = _section(folder), _corpus(workspace, manifest)
    with Tracker.open(TrackingSection(), workspace).pipeline("bench", {}) as tracked:
        site = Site(workspace, tracked)
        start_ray()  # it and its processes' start are in no figure
        figures["maps"] = _measured(lambda: make_maps(section, site=site, corpus=corpus))
        maps = make_maps(section, site=site, corpus=corpus)
        maps.directory.delete(RECORD)  # as if it had been killed before its last line
        figures["resume"] = _measured(lambda: make_maps(section, site=site, corpus=corpus))
        boxes = BoxesSection()
        figures["boxes"] = _measured(lambda: derive_boxes(boxes, site=site, corpus=corpus, maps=maps))
    return figures


if __name__ == "__main__":
    print(json.dumps(_figures(int(sys.argv[1]), sys.argv[2:])))
