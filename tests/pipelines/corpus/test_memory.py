"""What a further image costs the command's own process at its peak: Python's and Arrow's bytes."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.storage import Storage
from pipelines.boxes.export import write_coco
from pipelines.corpus.joining import JOINED
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.sorting import Corpus
from pipelines.tables import BOXES, write_sorted

pytestmark = pytest.mark.slow

SMALL, LARGE = 5_000, 15_000
# An image as an `Entry`, a path and a dict of its row took 1,600 bytes.
MOST_BYTES = 500


def peak(work: Callable[[], object]) -> int:
    """The most bytes that are held at once, of Python's objects and of Arrow's."""
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] + int(pool.max_memory())
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(pa.system_memory_pool())


def growth(work: Callable[[int], Callable[[], object]]) -> float:
    """Bytes a further image."""
    small, large = (peak(work(size)) for size in (SMALL, LARGE))
    return (large - small) / (LARGE - SMALL)


def test_listing(tmp_path: Path) -> None:
    def work(size: int) -> Callable[[], object]:
        root = tmp_path / f"{size}"
        for start in range(0, size, 1000):
            folder = root / "steel_strip" / "train" / f"{start:07d}"
            folder.mkdir(parents=True)
            for number in range(start, start + 1000):
                (folder / f"{number:07d}.png").touch()

        def run() -> None:
            listing = Listing(CorpusSection(root=str(root), layout="folder"))
            assert len(listing.digest()) == 64
            assert sum(batch.num_rows for batch in listing.batches()) == size

        return run

    assert growth(work) < MOST_BYTES


@pytest.mark.parametrize(
    ("alike", "most"),
    [(1, MOST_BYTES), (100, MOST_BYTES + 200)],  # their table names both images of each link
    ids=["all different", "near-duplicates all"],
)
def test_sorting(alike: int, most: int, tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def work(size: int) -> Callable[[], object]:
        box = {"x0": 1.0, "y0": 2.0, "x1": 3.0, "y1": 4.0, "label": "dent"}
        hashes = [random.bytes(32).hex() for _ in range(size // alike)]
        rows = (
            {
                "uri": f"/data/corpus/steel_strip/train/{number:07d}.png",
                "category": "steel_strip",
                "normal": False,
                "labelled": number % 10 == 0,
                "image_id": f"{number:032x}",
                "phash": hashes[number % len(hashes)],
                "width": 32,
                "height": 32,
                "grey_mean": 1.0,
                "grey_deviation": 1.0,
                "boxes": [box] if number % 10 == 0 else [],
                "ignored": [],
                "faults": [],
            }
            for number in range(size)
        )
        table = pa.Table.from_pylist(list(rows), schema=JOINED)
        storage = Storage.open(str(tmp_path / f"{size}"))

        def run() -> None:
            corpus = Corpus(table, CorpusSection(root="/data"), {})
            for name, (schema, pieces) in corpus.pieces().items():
                storage.write_pieces(f"{name}.parquet", schema, pieces)
            assert corpus.counts()["images"] == size

        return run

    assert growth(work) < most


def test_boxes_are_sorted_and_exported(tmp_path: Path) -> None:
    box = {"x0": 1.0, "y0": 2.0, "x1": 3.0, "y1": 4.0, "score": 0.5}

    def work(size: int) -> Callable[[], object]:
        storage = Storage.open(str(tmp_path / f"{size}"))
        about = {"uri": "/data/steel_strip/image.png", "category": "steel_strip", "width": 32, "height": 32}
        for start in range(0, size, 1000):
            ids = [f"{number * 7919 % size:032x}" for number in range(start, start + 1000)]
            rows = [{"image_id": image_id, **about, "boxes": [box, box]} for image_id in ids]
            storage.write_table(f"found/{start:07d}.parquet", pa.Table.from_pylist(rows, schema=BOXES))

        def run() -> None:
            count = write_sorted(
                storage.at("found"), storage, "sorted.parquet", schema=BOXES, column="image_id"
            )
            assert count == size

            def rows() -> Iterator[dict[str, Any]]:
                return (row for piece in storage.read_pieces("sorted.parquet") for row in piece.to_pylist())

            write_coco(storage, "coco.json", rows)

        return run

    assert growth(work) < MOST_BYTES
