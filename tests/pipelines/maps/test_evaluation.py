"""AUROC of stored maps against labels that come from polygons, run lengths and boxes."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.sorting import Corpus
from pipelines.maps.evaluation_stage import evaluate_maps
from pipelines.maps.reading import upsample
from pipelines.maps.rows import map_schema
from tests.pipelines.layouts.published_trees import HEIGHT, TREES, WIDTH
from tests.silent_tracking import SilentPipeline

GRID = 5


def artifact(workspace: Storage, name: str) -> Artifact:
    directory = workspace.at(name)
    directory.create()
    return Artifact(name, name, directory, {}, False)


def evaluated(tree: str, folder: Path) -> tuple[dict[str, Any], Corpus, dict[str, np.ndarray[Any, Any]]]:
    """Metrics of random maps of a tree, all of its labelled images held out."""
    TREES[tree][1](folder / "images")
    section = CorpusSection(root=str(folder / "images"), reference_count=0, test_share=0.999999)
    listing = Listing(section)
    corpus = Corpus(inspect(listing.table()), section, listing.reference_candidates(section))
    workspace = Storage.open(str(folder / "workspace"))
    made, maps = artifact(workspace, "corpus"), artifact(workspace, "maps")
    tables = corpus.tables()
    made.directory.write_table("manifest/part-0.parquet", tables["manifest"])
    made.directory.write_table("labels.parquet", tables["labels"])
    rng = np.random.default_rng(0)
    grids = {row["image_id"]: rng.random((GRID, GRID)).astype(np.float16) for row in corpus.manifest}
    rows = [
        {name: row[name] for name in ("image_id", "uri", "category", "width", "height")}
        | {"score": float(grids[row["image_id"]].max()), "map_max": 0.0}
        for row in corpus.manifest
    ]
    schema = map_schema(GRID)
    names = [name for name in schema.names if name != "map"]
    stack = np.stack([grids[row["image_id"]] for row in corpus.manifest])
    columns = [pa.array([row[name] for row in rows], schema.field(name).type) for name in names]
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(stack)
    table = pa.Table.from_arrays([*columns, tensor], names=[*names, "map"]).select(schema.names)
    maps.directory.write_table("maps/part-0.parquet", table)
    pipeline = SilentPipeline(Tracker.open(TrackingSection(), workspace), "p", {})
    evaluate_maps(site=Site(workspace, pipeline), corpus=made, maps=maps)
    (place,) = workspace.at("evaluate_maps").children()
    return workspace.at("evaluate_maps", place).read_json("metrics.json"), corpus, grids


@pytest.mark.parametrize("tree", ["severstal", "kolektor_sdd", "mvtec"])
def test_pixel_auroc_uses_masks_of_any_origin(tree: str, tmp_path: Path) -> None:
    metrics, corpus, grids = evaluated(tree, tmp_path)
    expected = TREES[tree][1](tmp_path / "again")
    truth, found, scores, flags = [], [], [], []
    for row in corpus.manifest:
        want = expected[row["path"]]
        if not want.labelled:
            continue
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        for x0, y0, x1, y1 in want.mask or ():
            mask[y0:y1, x0:x1] = True
        truth.append(mask.ravel())
        found.append(upsample(grids[row["image_id"]].astype(np.float32), WIDTH, HEIGHT).ravel())
        scores.append(float(grids[row["image_id"]].max()))
        flags.append(bool(want.boxes))
    assert metrics["images"] == len(flags)
    assert metrics["defective"] == sum(flags)
    assert metrics["image_auroc"] == pytest.approx(roc_auc_score(flags, scores))
    pixels = roc_auc_score(np.concatenate(truth), np.concatenate(found))
    assert metrics["pixel_auroc"] == pytest.approx(pixels, abs=1e-3)
    assert 0 <= metrics["aupro"] <= 1


def test_boxes_alone_give_no_pixel_auroc(tmp_path: Path) -> None:
    metrics, _, _ = evaluated("voc", tmp_path)
    assert metrics["defective"] == 2
    assert metrics["image_auroc"] is not None
    assert metrics["pixel_auroc"] is None
    assert metrics["aupro"] is None


def test_random_maps_are_said_to_be_at_chance_level(tmp_path: Path) -> None:
    metrics, _, _ = evaluated("mvtec", tmp_path)
    kinds = {verdict["kind"] for verdict in metrics["verdicts"]}
    assert kinds == {"chance_level"}
    assert any("image AUROC" in verdict["sentence"] for verdict in metrics["verdicts"])
