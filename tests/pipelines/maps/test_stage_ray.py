"""The maps stage on Ray: every image once, whatever pool, precision and batch; by hand gives the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.images.reading import ImageError, read_image
from pipelines.maps.build import build_method
from pipelines.maps.rows import category_states, decode_rows, map_batch, map_schema
from pipelines.maps.section import MapsSection
from pipelines.maps.stage import make_maps
from pipelines.surfaces.generator import write_corpus
from pipelines.tables.corpus_tables import REFERENCE


def corpus_of(folder: Path, rows: int = 150) -> tuple[Artifact, pa.Table]:
    """Rows over twelve pictures, and one more whose file is no image."""
    write_corpus(
        folder / "images", seed=3, images_per_category=12, size=48, defect_share=0.5, categories=["casting"]
    )
    (folder / "broken.png").write_bytes(b"no picture")
    pictures = sorted(path for path in (folder / "images").rglob("*.png") if "mask" not in path.stem)
    uris = [*(str(pictures[n % len(pictures)]) for n in range(rows)), str(folder / "broken.png")]
    manifest = pa.table(
        {
            "image_id": [f"{n:032x}" for n in range(len(uris))],
            "uri": uris,
            "category": ["casting"] * len(uris),
            "split": ["train"] * len(uris),
            "role": [REFERENCE if n < 4 else "train" for n in range(len(uris))],
            "width": [48] * len(uris),
            "height": [48] * len(uris),
        }
    )
    storage = Storage.open(str(folder / "corpus"))
    storage.create()
    storage.write_table("manifest/part-0.parquet", manifest)
    return Artifact("corpus", "c" * 16, storage, {"results": {}}, reused=True), manifest


@pytest.mark.ray
def test_pool_range_decoders_and_auto_batch_give_the_maps_of_a_plain_loop(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, manifest = corpus_of(tmp_path)
    section = MapsSection.model_validate({"actors": [1, 2], "decode_workers": 1, "kead": {"shots": 4}})
    workspace = Storage.open(str(tracked(tmp_path / "workspace")))
    with Tracker.open(TrackingSection(), workspace).pipeline("test", {}) as run:
        made = make_maps(section, site=Site(workspace, run), corpus=corpus)
    assert "1 to 2 actors on the CPU (no GPU in the cluster)" in capsys.readouterr().err
    assert (made.results["images"], made.results["quarantined"]) == (150, 1)
    (bad,) = made.directory.read_table("quarantine.parquet").to_pylist()
    with pytest.raises(ImageError) as unreadable:
        read_image(bad["uri"])
    assert bad == {
        "uri": str(tmp_path / "broken.png"),
        "stage": "maps",
        "reason": str(unreadable.value),
    }
    found = made.directory.read_table("maps").sort_by("image_id")
    assert found.schema.names == map_schema(found.column("map").type.shape[0]).names
    assert found.column("image_id").to_pylist() == manifest.column("image_id").to_pylist()[:150]

    method = build_method(section, "cpu")
    states = category_states(method, section, {"casting": manifest.column("uri").to_pylist()[:4]})
    plain = map_batch(method, states, decode_rows(manifest.slice(0, 12), method.encoder.image_size))
    for name, bound in (("score", 1e-5), ("map_max", 1e-3)):  # maps are float16
        expected = np.resize(plain.column(name).to_numpy(), 150)
        np.testing.assert_allclose(found.column(name).to_numpy(), expected, atol=bound)
