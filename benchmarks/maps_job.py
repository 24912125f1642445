"""The maps stage by Ray Data against a bare loop, and the driver's memory at ten times the images."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import psutil
import pyarrow as pa
import torch
from safetensors.torch import save_file

from benchmarks.registry import Row, at_least, at_most
from cluster.on_ray import RaySection, machine_cpus, ray_session
from cluster.stages import Artifact, Site
from cluster.storage import Storage
from cluster.tracking import Tracker, TrackingSection
from pipelines.encoder import CONFIG_FILE, WEIGHTS_FILE
from pipelines.images import read_image
from pipelines.maps import (
    MapsSection,
    build_method,
    category_states,
    decode_rows,
    make_maps,
    map_batch,
    tiled_image,
    tiled_maps,
)
from pipelines.surfaces import write_corpus
from pipelines.tables import REFERENCE

PICTURES, SIDE = 1_000, 256  # generated once; a larger corpus lists them again
SHORT, LONG = 1_000, 6_000  # the difference is the steady state, without Ray's and the actor's start
SMALL, LARGE = 5_000, 50_000  # of the driver's memory
BATCH = 32
SHOTS = 4
TILED, TILES = "surface-clip in tiles", 128  # nine tiles a picture
TILED_SHORT, TILED_LONG = 100, 700


def run() -> Iterator[Row]:
    """Images a second of both ways, then the driver's memory with an encoder that takes next to no time."""
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(
            Path(folder) / "images",
            seed=11,
            images_per_category=PICTURES,
            size=SIDE,
            defect_share=0.5,
            categories=["steel_strip"],
        )
        bare = _child("bare", folder, SHORT)["images_per_s"]
        short, long = (_child("job", folder, count)["seconds"] for count in (SHORT, LONG))
        steady = (LONG - SHORT) / (long - short)
        bare = (bare + _child("bare", folder, SHORT)["images_per_s"]) / 2  # before and after
        yield Row("surface-clip, bare loop: images/s", bare)
        yield Row("surface-clip, Ray Data: images/s, steady state", steady)
        yield Row(
            "surface-clip, Ray Data: seconds before that (Ray, encoder, tracking)", short - SHORT / steady
        )
        yield at_least("Ray Data against the bare loop", steady / bare, 0.90)
        loop = _child("bare", folder, TILED_SHORT, TILED)
        ends = [_child("job", folder, count, TILED) for count in (TILED_SHORT, TILED_LONG)]
        seconds, cpu = (ends[1][key] - ends[0][key] for key in ("seconds", "cpu_seconds"))
        steady = (TILED_LONG - TILED_SHORT) / seconds
        yield Row(f"{TILED}, bare loop: images/s", loop["images_per_s"])
        yield at_least("in tiles: Ray Data against the bare loop", steady / loop["images_per_s"], 0.95)
        by_cpu = (loop["cpu_seconds"] / TILED_SHORT) / (cpu / (TILED_LONG - TILED_SHORT))
        yield Row("in tiles: the same by CPU time", by_cpu)
        tiny_encoder(Path(folder) / "tiny")
        peaks = [_child("job", folder, count, "tiny")["driver_mb"] for count in (SMALL, LARGE)]
        yield Row(f"driver's memory with {SMALL:,} images, MB", peaks[0])
        yield at_most(f"its growth to {LARGE:,} images, MB", peaks[1] - peaks[0], 200)


def _child(side: str, folder: str, count: int, encoder: str = "surface-clip") -> dict[str, float]:
    """One side in a process of its own, whose memory is then its own too."""
    command = [sys.executable, "-m", "benchmarks.maps_job", side, folder, str(count), encoder]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _section(folder: str, encoder: str) -> MapsSection:
    model = str(Path(folder) / encoder) if encoder == "tiny" else "surface-clip"
    tiles = TILES if encoder == TILED else "off"
    return MapsSection.model_validate(
        {"encoder": {"model": model}, "batch_size": BATCH, "kead": {"shots": SHOTS}, "tiles": tiles}
    )


def _manifest(folder: str, count: int) -> pa.Table:
    """A corpus' manifest that lists the pictures again and again, four normal ones as references."""
    images = Path(folder) / "images"
    pictures = sorted(path for path in images.rglob("*.png") if not path.stem.endswith("_mask"))
    normal = [path for path in pictures if path.parent.name == "good"][:SHOTS]
    rows = [
        {
            "image_id": f"{number:032x}",
            "uri": str(pictures[number % len(pictures)]),
            "category": "steel_strip",
            "split": "train",
            "role": "train",
            "width": SIDE,
            "height": SIDE,
        }
        for number in range(count)
    ]
    references = [
        {**rows[0], "image_id": f"{count + number:032x}", "uri": str(path), "role": REFERENCE}
        for number, path in enumerate(normal)
    ]
    return pa.Table.from_pylist(rows + references)


def _bare(folder: str, count: int, encoder: str) -> dict[str, float]:
    """One process, all CPUs as threads: decode a batch, map it, go on."""
    torch.set_num_threads(machine_cpus())
    section, manifest = _section(folder, encoder), _manifest(folder, count)
    method = build_method(section, "cpu")
    references = [row["uri"] for row in manifest.to_pylist() if row["role"] == REFERENCE]
    states = category_states(method, section, {"steel_strip": references})

    def one(start: int) -> None:
        rows = manifest.slice(start, min(BATCH, count - start))
        if section.tiles == "off":
            map_batch(method, states, decode_rows(rows, method.encoder.image_size))
            return
        pictures = [read_image(uri) for uri in rows.column("uri").to_pylist()]
        cut = [tiled_image(method, pixels, states["steel_strip"], section) for pixels in pictures]
        tiled_maps(method, cut, BATCH, section.top_tiles)

    one(0)
    began, cpu = time.monotonic(), time.process_time()
    for start in range(0, count, BATCH):
        one(start)
    seconds = time.monotonic() - began
    return {"images_per_s": count / seconds, "cpu_seconds": time.process_time() - cpu}


def _job(folder: str, count: int, encoder: str) -> dict[str, float]:
    """The stage as `agssp maps` runs it, one actor."""
    workspace = Storage.open(str(Path(folder) / f"workspace-{encoder}-{count}"))
    workspace.create()
    corpus = workspace.at("corpus")
    corpus.write_table("manifest/part-0.parquet", _manifest(folder, count))
    began = time.monotonic()
    with ray_session(RaySection()), Tracker.open(TrackingSection(), workspace).pipeline("bench", {}) as run:
        maps = make_maps(
            _section(folder, encoder),
            site=Site(workspace, run),
            corpus=Artifact("corpus", str(count), corpus, {"results": {}}, reused=True),
        )
        cpu = _cpu_seconds()  # while Ray's processes live
    if maps.results["images"] != count + SHOTS:
        raise RuntimeError(f"{maps.results['images']} maps of {count + SHOTS} images")
    peak = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    seconds = time.monotonic() - began
    return {"seconds": seconds, "cpu_seconds": cpu, "driver_mb": int(peak[0]) / 1024}


def _cpu_seconds() -> float:
    """CPU time of this process and of all below it, those that ended included."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return float(sum(one.user + one.system + one.children_user + one.children_system for one in times))


def tiny_encoder(folder: Path) -> None:
    """An open_clip model folder of random weights that costs next to nothing."""
    vision = {"image_size": 32, "layers": 4, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    settings: dict[str, Any] = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    torch.manual_seed(0)
    model = open_clip.CLIP(**settings)
    folder.mkdir()
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3}
    (folder / CONFIG_FILE).write_text(json.dumps({"model_cfg": settings, "preprocess_cfg": preprocess}))
    save_file(dict(model.state_dict()), folder / WEIGHTS_FILE)


if __name__ == "__main__":
    _, which, where, how_many, what = sys.argv
    print(json.dumps({"bare": _bare, "job": _job}[which](where, int(how_many), what)))
