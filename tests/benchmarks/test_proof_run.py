"""The proof at tiny sizes, from published tiles to its table, and again."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from benchmarks.real_surfaces.proof import NAME, run
from benchmarks.real_surfaces.settings import LIGHTLY, SETTINGS, WORKSPACE
from benchmarks.real_surfaces.table import PICTURE
from benchmarks.real_surfaces.unlabelled import unlabelled_images
from cluster.errors import UserError
from cluster.stages import Artifact
from cluster.storage import Storage
from pipelines.corpus.near_duplicates import near_pairs, perceptual_hash
from pipelines.corpus.section import DEFAULT_DISTANCE
from pipelines.images import read_image
from tests.benchmarks.published_tiles import write_tiles

pytestmark = pytest.mark.slow
STARTS = ("scratch", "scratch + painted defects", "scratch + AGBP alone")


def settings(roots: dict[str, str]) -> dict[str, object]:
    """From random weights, a step or two of everything."""
    small = {"image_size": 64, "loop": {"epochs": 1}}
    finetune = {**small, "loop": {"batch_size": 4}}
    gain = {"starts": {"scratch": "scratch"}, "epochs": [1], "limits": [4]}
    project = {"detector": small, "finetune": finetune}
    agbp = {**project, "backbone": small, "maps": {"kead": {"shots": 0}}}
    return {
        "seeds": [1, 2],
        "data": roots,
        "coco": "none.safetensors",
        "comparisons": {
            "painted": {"gain": {**gain, "sources": ["painted"]}, "project": project},
            "coco": {"gain": {**gain, "starts": {"COCO": "coco"}}},
        },
        "beside": {"gain": gain, "project": agbp},
    }


def test_the_proof_runs_to_its_table_and_is_found_done(
    tracked: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = {name: str(write_tiles(tmp_path / name)) for name in ("tiles", "others")}
    (tmp_path / "tiny.yaml").write_text(json.dumps(settings(roots)))
    made = tracked(tmp_path / "made")
    monkeypatch.setenv(SETTINGS, str(tmp_path / "tiny.yaml"))
    monkeypatch.setenv(WORKSPACE, str(made))
    monkeypatch.delenv(LIGHTLY, raising=False)

    rows = {row.what: row.value for row in run()}
    skipped = [what.split(":")[0] for what, value in rows.items() if value is None]
    assert skipped == ["starts from COCO weights", "lightly-train"]
    assert {f"{name}, 4 labels, 1 epochs, {STARTS[1]}: points of mAP@0.5" for name in roots} <= set(rows)
    lines = (made / f"{NAME}.md").read_text().splitlines()
    for name in roots:
        shown = [line.split(" | ")[3] for line in lines if line.startswith(f"| {name} | 4 | 1 |")]
        assert shown == list(STARTS)
    assert any(line.startswith(f"| {STARTS[1]} | scratch | 1 | 2 |") for line in lines)
    assert (made / PICTURE).read_text().count(STARTS[1]) == len(roots)

    stages = {path: path.stat().st_mtime_ns for path in made.rglob("stage.json")}
    assert {row.what: row.value for row in run()} == rows
    assert {path: path.stat().st_mtime_ns for path in made.rglob("stage.json")} == stages

    # What a rival would see: all but the held-out half, and nothing near it.
    corpora = [path for path in stages if path.parent.parent.name == "corpus"]
    assert len(corpora) == len(roots)
    place = Storage.open(str(corpora[0].parent))
    record = place.read_json("stage.json") or {}
    corpus = Artifact("corpus", corpora[0].parent.name, place, record, reused=True)
    images = unlabelled_images(corpus, tmp_path / "images")
    rows_of = corpus.directory.read_table("manifest").to_pylist()
    kept = {row["image_id"]: row for row in rows_of if row["split"] != "test"}
    assert {path.stem for path in images.iterdir()} == set(kept)
    for path in images.iterdir():
        written = cv2.imread(str(path))
        assert written is not None
        assert (written[..., ::-1] == read_image(kept[path.stem]["uri"])).all()
    hashes = [perceptual_hash(read_image(row["uri"])) for row in rows_of]
    tested = [row["split"] == "test" for row in rows_of]
    assert any(tested)
    crossing = [
        (a, b)
        for firsts, seconds, _ in near_pairs(hashes, DEFAULT_DISTANCE)
        for a, b in zip(firsts, seconds, strict=True)
        if tested[a] != tested[b]
    ]
    assert crossing == []


def test_a_set_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "tiny.yaml").write_text(json.dumps(settings({"empty": str(tmp_path / "empty")})))
    monkeypatch.setenv(SETTINGS, str(tmp_path / "tiny.yaml"))
    monkeypatch.setenv(WORKSPACE, str(tmp_path / "made"))
    monkeypatch.delenv(LIGHTLY, raising=False)
    with pytest.raises(UserError, match=r"empty ended with 2: .*image"):
        list(run())
