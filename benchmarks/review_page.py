"""`agssp view` with 10,000 images in headless Chromium: its first page, and a threshold drag redrawn."""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from benchmarks.boxes import SIDE, write_maps
from benchmarks.chromium import chromium_program, chromium_tab
from benchmarks.registry import Row, at_most
from cluster.stages import RECORD
from cluster.storage import Storage
from pipelines.boxes import PseudoBoxSettings
from pipelines.review import Gallery, ReviewServer
from pipelines.tables import LABELS, MANIFEST

IMAGES, PICTURES, LOADS, ROUNDS = 10_000, 48, 5, 40
CORPUS, MAPS = "c" * 64, "d" * 64
# All tiles drawn: every picture decoded, every tile's boxes counted.
SHOWN = (
    "document.querySelectorAll('.tile').length === 24 && tiles.every(t => t.boxes.textContent) && "
    "[...document.querySelectorAll('.tile img')].every(i => i.complete && i.naturalWidth > 0) && "
    "performance.now()"
)
DRAG = """(async () => {
  const input = document.getElementById('c'), taken = [];
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const before = [...document.querySelectorAll('.tile svg')].map(s => s.innerHTML).join();
  for (let n = 0; n < ROUNDS; n++) {
    await frame();
    const began = performance.now();
    input.value = 0.02 + 0.6 * n / ROUNDS;
    input.dispatchEvent(new Event('input'));
    await frame();  // the page's own redraw comes first in this frame
    document.getElementById('grid').getBoundingClientRect();
    taken.push(performance.now() - began);
  }
  const after = [...document.querySelectorAll('.tile svg')].map(s => s.innerHTML).join();
  if (before === after) throw new Error('nothing was redrawn');
  return taken;
})()"""


def run() -> Iterator[Row]:
    """Seconds from navigation until all pictures and boxes are drawn; milliseconds of a redraw."""
    program = chromium_program()
    if program is None:
        yield Row("review page", None, "no Chromium is installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.open(folder)
        write_workspace(storage, IMAGES, Path(folder))
        began = time.monotonic()
        gallery = open_gallery(storage)
        yield Row(f"server ready with {IMAGES:,} images, s", time.monotonic() - began)
        with serving(gallery, storage) as server, chromium_tab(program) as tab:
            tab.look(1400, 1000)
            loads = []
            for _ in range(LOADS):
                tab.open("about:blank")
                tab.call("Network.clearBrowserCache")
                tab.open(server.url)
                loads.append(tab.wait_for(SHOWN) / 1000)
            drags = tab.evaluate(DRAG.replace("ROUNDS", str(ROUNDS)))
    yield Row("the browser's very first page, its own start included, s", loads[0])
    yield at_most("first page of 24 images, empty cache, s, median", statistics.median(loads), 1)
    yield at_most("threshold drag redrawn, ms, median", statistics.median(drags), 100)
    yield Row("threshold drag redrawn, ms, slowest", max(drags))


def write_workspace(
    storage: Storage,
    count: int,
    pictures: Path,
    test_every: int = 0,
    labels: Mapping[int, Mapping[str, Any]] | None = None,
) -> None:
    """Corpus and maps artifacts as the stages leave them, by plain pyarrow.

    Args:
        storage: the workspace.
        count: the number of images.
        pictures: folder for the few files that the images share.
        test_every: one image in so many is held out; 0 for none.
        labels: rows of the labels table by number of their image, without its id.
    """
    rng = np.random.default_rng(0)
    files = []
    for number in range(min(PICTURES, count)):
        noise = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)), (0, 0), sigmaX=14, sigmaY=0.7)
        file = pictures / f"surface_{number}.jpg"
        cv2.imwrite(str(file), np.clip(128 + 26 * noise / noise.std(), 0, 255).astype(np.uint8))
        files.append(str(file))
    maps, corpus = storage.at("maps", MAPS[:16]), storage.at("corpus", CORPUS[:16])
    write_maps(maps.at("maps"), count, files)
    rows = maps.read_table("maps", columns=["image_id", "uri", "category", "width", "height"]).to_pylist()
    for number, row in enumerate(rows):
        row["split"] = "test" if test_every and number % test_every == 0 else "unlabelled"
        row["role"] = "reference" if number in (2, 4) else "train"
    corpus.write_table("manifest/part-0.parquet", pa.Table.from_pylist(rows, schema=MANIFEST))
    labelled = [{"image_id": rows[number]["image_id"], **row} for number, row in (labels or {}).items()]
    corpus.write_table("labels.parquet", pa.Table.from_pylist(labelled, schema=LABELS))
    common = {"config": {}, "inputs": {}, "started": "2026-01-01T00:00:00+00:00"}
    corpus.write_json(RECORD, {**common, "fingerprint": CORPUS})
    maps.write_json(RECORD, {**common, "fingerprint": MAPS, "inputs": {"corpus": CORPUS}})


def open_gallery(storage: Storage, settings: PseudoBoxSettings | None = None) -> Gallery:
    """The gallery of such a workspace."""
    maps, corpus = storage.at("maps", MAPS[:16]), storage.at("corpus", CORPUS[:16])
    return Gallery(maps, corpus, settings or PseudoBoxSettings())


@contextmanager
def serving(gallery: Gallery, storage: Storage, **about: str) -> Iterator[ReviewServer]:
    """The server answering in a thread of its own, until the block ends."""
    head = {"project": "line", "workspace": storage.uri, "maps": MAPS[:16]} | about
    server = ReviewServer(gallery, storage, head, lambda chosen: repr(dict(chosen)))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(30)
