"""Figures of maps whose grids differ, against scikit-learn over all pixels."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.annotations.rle import decode_mask
from pipelines.maps.evaluation_stage import evaluate_maps
from pipelines.maps.reading import map_rows
from tests.pipelines.tiled_tables import write_tiled
from tests.silent_tracking import SilentPipeline


def test_pixel_auroc_of_grids_of_their_own(tmp_path: Path) -> None:
    storage, maps = write_tiled(tmp_path, 24)
    artifact = Artifact("maps", "m" * 16, storage, {}, False)
    for (row, stored), wanted in zip(map_rows(artifact), maps, strict=True):
        np.testing.assert_array_equal(stored, wanted.astype(np.float32), err_msg=row["image_id"])
    site = Site(storage, SilentPipeline(Tracker.open(TrackingSection(), storage), "p", {}))
    metrics = evaluate_maps(site=site, corpus=artifact, maps=artifact).results
    labels = {row["image_id"]: row for row in storage.read_table("labels.parquet").to_pylist()}
    truth, values, defective = [], [], []
    for row, grid in zip(storage.read_table("manifest").to_pylist(), maps, strict=True):
        if row["split"] != "test":
            continue
        size = row["width"], row["height"]
        truth.append(decode_mask(labels[row["image_id"]]["mask"], *size).ravel())
        values.append(cv2.resize(grid.astype(np.float32), size, interpolation=cv2.INTER_LINEAR).ravel())
        defective.append(bool(labels[row["image_id"]]["boxes"]))
    assert len(truth) == metrics["images"] == 6
    want = roc_auc_score(np.concatenate(truth), np.concatenate(values))
    assert cast("float", metrics["pixel_auroc"]) == pytest.approx(want, abs=1e-4)
    assert metrics["image_auroc"] == 1.0
    assert 0.5 < cast("float", metrics["aupro"]) <= 1
