"""The proof at tiny sizes, from published tiles to its table, and again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.real_surfaces.proof import NAME, run
from benchmarks.real_surfaces.settings import LIGHTLY, SETTINGS, WORKSPACE
from tests.benchmarks.test_proof_halves import write_tiles

pytestmark = [pytest.mark.ray, pytest.mark.slow]
KINDS = ("scratch", "scratch + pretext alone", "scratch + AGBP", "scratch + AGSSP")


def settings(root: Path) -> dict[str, object]:
    """One data set, two label counts, no COCO weights, a step or two of everything."""
    small = {"image_size": 64, "loop": {"epochs": 1}}
    finetune = {**small, "validation_share": 0, "loop": {"best_metric": None, "batch_size": 4}}
    runs = [{"limit": 4, "epochs": 1}, {"limit": None, "epochs": 1}]
    return {
        "seeds": [1, 2],
        "data": {"tiles": {"root": str(root), "layout": "magnetic_tile", "runs": runs}},
        "coco": str(root / "none.safetensors"),
        "generated": {"images_per_category": 8, "size": 64, "categories": ["rail"]},
        "project": {
            "maps": {"kead": {"shots": 0}},
            "backbone": small,
            "detector": small,
            "finetune": finetune,
        },
    }


def test_the_proof_runs_to_its_table_and_is_found_done(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiles(tmp_path / "published")
    (tmp_path / "tiny.yaml").write_text(json.dumps(settings(tmp_path / "published")))
    monkeypatch.setenv(SETTINGS, str(tmp_path / "tiny.yaml"))
    monkeypatch.setenv(WORKSPACE, str(tracked(tmp_path / "made")))
    monkeypatch.delenv(LIGHTLY, raising=False)

    rows = {row.what: row for row in run()}
    skipped = [row.what for row in rows.values() if row.value is None]
    assert [what.split(":")[0] for what in skipped] == ["starts from COCO weights", "lightly-train"]
    first = json.loads((tmp_path / "made" / f"{NAME}.json").read_text())
    found = [(cell["row"], cell["labels"], cell["seed"]) for cell in first["cells"]]
    assert found == [(kind, labels, seed) for kind in KINDS for labels in ("4", "all") for seed in (1, 2)]
    for cell in first["cells"]:
        what = f"tiles, {cell['labels']} labels, seed {cell['seed']}, {cell['row']}: mAP@0.5, percent"
        assert rows[what].value == 100 * cell["map50"]
    assert set(first["pretraining_minutes"]) == set(KINDS[1:])
    lines = (tmp_path / "made" / f"{NAME}.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith(("| scratch", "| COCO"))] == [
        f"| {kind}" for kind in KINDS
    ] * 2

    stages = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").rglob("stage.json")}
    assert len(stages) >= 2 * len(found)
    assert {row.what: row.value for row in run()} == {what: row.value for what, row in rows.items()}
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").rglob("stage.json")}
    assert after == stages
