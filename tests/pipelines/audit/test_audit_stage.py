"""The audit as a stage: from images to a choice, found again, and refused where nothing can be painted on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import UserError
from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.audit.candidates import candidates
from pipelines.audit.painting_stage import paint_for_audit
from pipelines.audit.section import AuditSection
from pipelines.audit.stage import AuditInputs, audit_boxes
from pipelines.boxes import BoxesSection, derive_boxes
from pipelines.images.reading import read_image
from pipelines.maps import MapsSection, make_maps
from pipelines.surfaces.generator import write_corpus
from pipelines.tables import LABELS, MANIFEST, box_array

SHOTS, PAINTED = 2, 14


def corpus_of(folder: Path, **changes: Any) -> Artifact:
    """Normal castings: two references, the others labelled as normal."""
    write_corpus(
        folder / "images", seed=3, images_per_category=12, size=64, defect_share=0, categories=["casting"]
    )
    pictures = sorted((folder / "images").rglob("*.png"))
    rows = [
        {
            "image_id": f"{number:032x}",
            "uri": str(picture),
            "category": "casting",
            "split": "train",
            "role": "reference" if number < SHOTS else "train",
            "width": 64,
            "height": 64,
            "levels": None,
            **changes,
        }
        for number, picture in enumerate(pictures)
    ]
    labels = [{"image_id": row["image_id"], "boxes": [], "mask": None, "ignored": []} for row in rows]
    storage = Storage.open(str(folder / "corpus"))
    storage.create()
    storage.write_table("manifest/part-0.parquet", pa.Table.from_pylist(rows, schema=MANIFEST))
    storage.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    return Artifact("corpus", "c" * 16, storage, {"results": {}}, reused=True)


def maps_of(folder: Path, ids: list[str]) -> Artifact:
    """A maps stage that mapped these images; only their ids are looked at."""
    storage = Storage.open(str(folder / "maps"))
    storage.create()
    storage.write_table("maps/part-0.parquet", pa.table({"image_id": pa.array(ids, pa.string())}))
    return Artifact("maps", "m" * 16, storage, {"results": {}}, reused=True)


def refused(folder: Path, section: AuditSection, corpus: Artifact, maps: Artifact) -> str:
    """The sentence that the paint stage of an audit ends with."""
    workspace = Storage.open(str(folder))
    with (
        Tracker.open(TrackingSection(), workspace).pipeline("test", {}) as run,
        pytest.raises(UserError) as error,
    ):
        paint_for_audit(
            section, site=Site(workspace, run), corpus=corpus, maps=maps, references_are_compared=True
        )
    return str(error.value)


@pytest.mark.parametrize("case", ["held out", "unmapped", "references alone"])
def test_nothing_to_paint_on_is_one_sentence(
    case: str, tracked: Callable[[Path], Path], tmp_path: Path
) -> None:
    changes = {"held out": {"split": "test"}, "references alone": {"role": "reference"}}.get(case, {})
    corpus = corpus_of(tmp_path, **changes)
    maps = maps_of(tmp_path, [] if case == "unmapped" else [f"{number:032x}" for number in range(12)])
    told = refused(tracked(tmp_path / "workspace"), AuditSection(seed=1), corpus, maps)
    assert told.startswith("There is nothing to paint on: ")
    assert told.endswith("add normal images beside the references that maps are compared with.")


def test_kinds_of_a_category_that_is_none_are_refused(
    tracked: Callable[[Path], Path], tmp_path: Path
) -> None:
    section = AuditSection.model_validate({"seed": 1, "categories": {"castng": ["pit"]}})
    told = refused(tracked(tmp_path / "workspace"), section, corpus_of(tmp_path), maps_of(tmp_path, []))
    assert told.startswith('audit.categories names "castng", which the corpus has not;')
    assert "casting" in told


@pytest.mark.slow  # in this process: each of its jobs is held on Ray by its own stage's test
def test_boxes_take_the_rule_that_the_audit_chose(
    tracked: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = corpus_of(tmp_path)
    originals = {path: path.read_bytes() for path in (tmp_path / "images").rglob("*.png")}
    maps_section = MapsSection.model_validate({"kead": {"shots": SHOTS}})
    boxes = BoxesSection.model_validate({"rule": "auto", "export_yolo": False})
    inputs = AuditInputs(AuditSection(seed=1, images=PAINTED), boxes.settings, maps_section)
    workspace = Storage.open(str(tracked(tmp_path / "workspace")))
    with Tracker.open(TrackingSection(), workspace).pipeline("test", {}) as run:
        site = Site(workspace, run)
        maps = make_maps(maps_section, site=site, corpus=corpus)
        audit = audit_boxes(inputs, site=site, corpus=corpus, maps=maps)
        again = audit_boxes(inputs, site=site, corpus=corpus, maps=maps)
        made = derive_boxes(boxes, site=site, corpus=corpus, maps=maps, audit=audit)
    assert again.reused
    assert {path: path.read_bytes() for path in originals} == originals
    assert set(audit.record["inputs"]) == {"corpus", "maps", "audit_images", "painted_maps"}

    painted = workspace.at("audit_images", audit.record["inputs"]["audit_images"][:16])
    rows = painted.read_table("painted.parquet").to_pylist()
    uris = {row["image_id"]: row["uri"] for row in rows}
    assert len(rows) == PAINTED
    assert all(row["normal"] and row["original"] >= f"{SHOTS:032x}" for row in rows)
    for row in rows:
        before, after = read_image(uris[row["image_id"]]), read_image(painted.uri_of(row["painted"]))
        y, x = np.nonzero((before != after).any(axis=2))
        box = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert box_array(row["boxes"]).tolist() == [[float(side) for side in box]]

    table = audit.directory.read_table("audit.parquet").to_pylist()
    whole = [row for row in table if row["part"] == "all"]
    tried = candidates(boxes.settings)
    assert len(whole) == len(tried) == audit.results["rules"]
    assert {row["defects"] for row in whole} == {PAINTED}
    f1 = [row["f1"] for row in whole]
    assert f1 == sorted(f1, reverse=True)
    assert f1[0] > 0
    (chosen,) = [row for row in whole if row["chosen"]]
    assert chosen["f1"] == f1[0]
    rules = made.directory.read_json("rules.json")
    assert rules["casting"]["settings"] == json.loads(chosen["settings"])
    assert made.results["rules"] == rules
    assert made.record["inputs"]["audit"] == audit.fingerprint
    assert f"boxes: {rules['casting']['sentence']}" in capsys.readouterr().err
