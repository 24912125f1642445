"""The paint stage on Ray: each image outside the test split once, as painted by hand; resumed, reported."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import UserError
from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.images.reading import read_image
from pipelines.painting.painter import paint
from pipelines.painting.section import PaintSection
from pipelines.painting.stage import paint_images
from pipelines.surfaces.generator import write_corpus
from pipelines.tables import BOXES, MANIFEST, box_array

IMAGES, BROKEN = 12, 3


def corpus_of(folder: Path, split: str = "train") -> Artifact:
    """Twelve pictures, every fourth held out, and one whose file is no image any more."""
    write_corpus(
        folder / "images", seed=3, images_per_category=IMAGES, size=64, defect_share=0, categories=["casting"]
    )
    pictures = sorted((folder / "images").rglob("*.png"))
    rows = [
        {
            "image_id": f"{number:032x}",
            "uri": str(picture),
            "category": "casting",
            "split": "test" if number % 4 == 0 else split,
            "role": "train",
            "width": 64,
            "height": 64,
            "levels": None,
        }
        for number, picture in enumerate(pictures)
    ]
    pictures[BROKEN].write_bytes(b"no picture")
    storage = Storage.open(str(folder / "corpus"))
    storage.create()
    storage.write_table("manifest/part-0.parquet", pa.Table.from_pylist(rows, schema=MANIFEST))
    return Artifact("corpus", "c" * 16, storage, {"results": {}}, reused=True)


def boxes_of(folder: Path, box: tuple[float, float, float, float]) -> Artifact:
    """A boxes stage that found this box in every image."""
    storage = Storage.open(str(folder / "boxes"))
    storage.create()
    named = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)) | {"score": 1.0}
    rows = [
        {
            "image_id": f"{n:032x}",
            "uri": "",
            "category": "casting",
            "width": 64,
            "height": 64,
            "boxes": [named],
        }
        for n in range(IMAGES)
    ]
    storage.write_table("boxes.parquet", pa.Table.from_pylist(rows, schema=BOXES))
    return Artifact("boxes", "b" * 16, storage, {"results": {}}, reused=True)


@pytest.mark.ray
def test_every_pretraining_image_is_painted_once_as_by_hand(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path: Path
) -> None:
    corpus, boxes = corpus_of(tmp_path), boxes_of(tmp_path, (0, 0, 32, 32))
    section = PaintSection(seed=5, share=0.7, max_bad_share=0.2)
    workspace = Storage.open(str(tracked(tmp_path / "workspace")))
    originals = {path: path.read_bytes() for path in (tmp_path / "images").rglob("*.png")}
    with Tracker.open(TrackingSection(), workspace).pipeline("test", {}) as run:
        site = Site(workspace, run)
        with pytest.raises(UserError, match=r"paint: 1 of 9 images can't be used .*quarantine\.parquet"):
            paint_images(section.model_copy(update={"max_bad_share": 0.0}), site=site, corpus=corpus)
        made = paint_images(section, site=site, corpus=corpus)
        avoiding = paint_images(section, site=site, corpus=corpus, boxes=boxes)
        assert paint_images(section, site=site, corpus=corpus).reused
    assert made.fingerprint != avoiding.fingerprint
    assert {path: path.read_bytes() for path in originals} == originals
    for artifact, avoid in ((made, None), (avoiding, np.array([[0.0, 0, 32, 32]]))):
        rows = artifact.directory.read_table("painted.parquet").to_pylist()
        expected = [f"{n:032x}" for n in range(IMAGES) if n % 4 and n != BROKEN]
        assert [row["image_id"] for row in rows] == expected
        (bad,) = artifact.directory.read_table("quarantine.parquet").to_pylist()
        assert bad["stage"] == "paint"
        for row in rows:
            image = read_image(row["uri"])
            by_hand = paint(image, seed=5, image_id=row["image_id"], settings=section.settings, avoid=avoid)
            assert np.array_equal(box_array(row["boxes"]), by_hand.boxes)
            assert (row["painted"] is None) == (len(by_hand.boxes) == 0)
            if row["painted"] is not None:
                stored = read_image(artifact.directory.uri_of(row["painted"]))
                assert np.array_equal(stored, by_hand.image)
        painted = [row for row in rows if row["boxes"]]
        assert artifact.results == {
            "images": 8,
            "painted": len(painted),
            "boxes": sum(len(row["boxes"]) for row in painted),
            "quarantined": 1,
        }
        assert 0 < len(painted) <= 8
        assert len(artifact.directory.at("images").children()) == len(painted)
        assert not artifact.directory.exists("work")


@pytest.mark.ray
def test_a_corpus_of_test_images_alone_has_nothing_to_paint_on(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path: Path
) -> None:
    corpus = corpus_of(tmp_path, split="test")
    workspace = Storage.open(str(tracked(tmp_path / "workspace")))
    with (
        Tracker.open(TrackingSection(), workspace).pipeline("test", {}) as run,
        pytest.raises(UserError, match="no image outside its test split"),
    ):
        paint_images(PaintSection(seed=1), site=Site(workspace, run), corpus=corpus)
