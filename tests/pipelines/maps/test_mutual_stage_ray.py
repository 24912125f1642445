"""Mutual scoring as a stage: two passes, each image once, also when it was stopped between them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.maps import stage
from pipelines.maps.bank_method import BankMethod
from pipelines.maps.build import build_method
from pipelines.maps.mutual_sample import chosen, feature_rows, judged_states, near_pairs
from pipelines.maps.rows import category_states, decode_rows, map_batch, readable_rows
from pipelines.maps.section import MapsSection
from pipelines.surfaces.generator import write_corpus
from pipelines.tables.corpus_tables import CorpusTables
from tests.pipelines.banks.tiny_bank import SIDE, weights_of

COUNT = 40


def corpus_of(folder: Path) -> tuple[Artifact, pa.Table]:
    """40 pictures of one category without references, two of them near-duplicates."""
    write_corpus(
        folder / "images",
        seed=3,
        images_per_category=COUNT,
        size=48,
        defect_share=0.5,
        categories=["casting"],
    )
    pictures = sorted(path for path in (folder / "images").rglob("*.png") if "mask" not in path.stem)[:COUNT]
    ids = [f"{number:032x}" for number in range(len(pictures))]
    manifest = pa.table(
        {
            "image_id": ids,
            "uri": [str(path) for path in pictures],
            "category": ["casting"] * len(ids),
            "split": ["train"] * len(ids),
            "role": ["train"] * len(ids),
            "width": [48] * len(ids),
            "height": [48] * len(ids),
            "levels": pa.array([None] * len(ids), pa.list_(pa.float64())),
        }
    )
    storage = Storage.open(str(folder / "corpus"))
    storage.create()
    storage.write_table("manifest/part-0.parquet", manifest)
    pairs = pa.table({"image_id_a": [ids[1]], "image_id_b": [ids[2]]})
    storage.write_table("near_duplicates.parquet", pairs)
    return Artifact("corpus", "c" * 16, storage, {"results": {}}, reused=True), manifest


@pytest.mark.ray
def test_a_stopped_stage_goes_on_after_its_first_pass_and_gives_the_maps_of_a_plain_loop(
    ray_cluster: None,
    tracked: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corpus, manifest = corpus_of(tmp_path)
    bank: dict[str, Any] = {
        "encoder": "timm/test_resnet",
        "weights": weights_of("test_resnet", tmp_path),
        "size": SIDE,
        "mode": "mutual",
        "sample": 6,
    }
    section = MapsSection.model_validate({"bank": bank})
    workspace = Storage.open(str(tracked(tmp_path / "workspace")))

    class StoppedError(Exception):
        pass

    def stop(*_: Any, **__: Any) -> None:
        raise StoppedError

    with Tracker.open(TrackingSection(), workspace).pipeline("test", {}) as run:
        site = Site(workspace, run)
        with monkeypatch.context() as patched:
            patched.setattr(stage, "run_table_job", stop)  # the second pass; the first is the sample's
            with pytest.raises(StoppedError):
                stage.make_maps(section, site=site, corpus=corpus)
        (unfinished,) = workspace.at("maps").children()
        sample = workspace.at("maps", unfinished, "sample")
        before = {name: sample.read(name) for name in sample.children()}
        made = stage.make_maps(section, site=site, corpus=corpus)
    assert before
    kept = made.directory.at("sample")
    assert {name: kept.read(name) for name in before} == before
    judges = (
        pa.concat_tables(kept.read_table(name) for name in kept.children()).column("image_id").to_pylist()
    )
    near = near_pairs(corpus.directory)
    assert sorted(judges) == sorted(chosen(CorpusTables(corpus.directory).manifest(), near, section.bank))

    found = made.directory.read_table("maps").sort_by("image_id")
    assert found.column("image_id").to_pylist() == manifest.column("image_id").to_pylist()
    method = build_method(section, "cpu")
    assert isinstance(method, BankMethod)
    decoded = readable_rows(decode_rows(manifest, method.input_side))
    inside = pa.array([image in judges for image in manifest.column("image_id").to_pylist()])
    plain = Storage.open(str(tmp_path / "plain"))
    plain.create()
    plain.write_table("part.parquet", feature_rows(method, decoded.filter(inside)))
    states = judged_states(category_states(method, section, {"casting": []}), plain, near)
    expected = map_batch(method, states, decoded)
    for name, bound in (("score", 1e-5), ("map_max", 1e-3)):  # maps are float16
        np.testing.assert_allclose(
            found.column(name).to_numpy(), expected.column(name).to_numpy(), atol=bound
        )
    assert len(set(found.column("score").to_pylist())) > COUNT // 2
