"""The maps stage of tiled images on Ray: every image once, bad ones in quarantine, boxes of what it left."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.boxes.section import BoxesSection
from pipelines.boxes.stage import derive_boxes
from pipelines.image_maps import anomaly_maps
from pipelines.maps.grids import map_grids
from pipelines.maps.section import MapsSection
from pipelines.maps.stage import make_maps
from pipelines.tables.corpus_tables import REFERENCE

SIDES = ((260, 60), (100, 230), (140, 140))  # width, height


@pytest.mark.ray
def test_strips_become_maps_and_boxes(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(31):
        width, height = SIDES[number % 3]
        uri = str(tmp_path / f"{number}.png")
        cv2.imwrite(uri, rng.integers(100, 130, (height, width, 3), np.uint8))
        row = {"image_id": f"{number:032x}", "uri": uri, "category": "rail", "split": "train"}
        rows.append({**row, "role": REFERENCE if number < 2 else "train", "width": width, "height": height})
    Path(rows[-1]["uri"]).write_bytes(b"no picture")
    storage = Storage.open(str(tmp_path / "corpus"))
    storage.create()
    storage.write_table("manifest/part-0.parquet", pa.Table.from_pylist(rows))
    corpus = Artifact("corpus", "c" * 16, storage, {"results": {}}, reused=True)
    section = MapsSection.model_validate({"tiles": "auto", "kead": {"shots": 2}})
    workspace = Storage.open(str(tracked(tmp_path / "workspace")))
    with Tracker.open(TrackingSection(), workspace).pipeline("test", {}) as run:
        site = Site(workspace, run)
        made = make_maps(section, site=site, corpus=corpus)
        boxes = derive_boxes(BoxesSection(), site=site, corpus=corpus, maps=made)
    assert "tiles of 31 images" in capsys.readouterr().err
    assert (made.results["images"], made.results["quarantined"]) == (30, 1)
    found = made.directory.read_table("maps").sort_by("image_id")
    assert found.column("image_id").to_pylist() == [row["image_id"] for row in rows[:-1]]
    uris = [row["uri"] for row in rows]
    alone = anomaly_maps(uris[:-1], "rail", references=uris[:2], maps=section)
    for one, grid in zip(alone, map_grids(found), strict=True):
        np.testing.assert_allclose(one.map, grid, atol=2e-3)
    assert boxes.results["images"] == 30
