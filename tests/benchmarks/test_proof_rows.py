"""The proof's rows: which there are, and what a start cost, epochs before a resume included."""

from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.real_surfaces.proof import compared
from benchmarks.real_surfaces.rows import epochs_seconds
from benchmarks.real_surfaces.settings import Settings
from cluster.errors import UserError
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from training.loop.files import HISTORY_FILE


def settings(coco: Path, rows: tuple[str, ...] | None) -> Settings:
    data = {"tiles": {"layout": "magnetic_tile", "runs": [{"limit": 5, "epochs": 1}]}}
    return Settings.model_validate({"data": data, "generated": {}, "coco": str(coco), "rows": rows})


def test_epochs_are_summed(tmp_path: Path) -> None:
    stage = Storage.open(str(tmp_path))
    stage.write_table(HISTORY_FILE, pa.table({"epoch": [0, 1, 2], "seconds": [None, 2.0, 3.5]}))
    assert epochs_seconds(Artifact("backbone", "made", stage, {}, reused=False)) == 5.5


@pytest.mark.parametrize("coco", [False, True])
@pytest.mark.parametrize("rival", [False, True])
def test_rows_that_lack_weights_or_rival_are_left_out(tmp_path: Path, coco: bool, rival: bool) -> None:
    weights = tmp_path / "coco.safetensors"
    if coco:
        weights.touch()
    names = [start.name for start in compared(settings(weights, None), rival=rival)]
    assert len(names) == (2 if coco else 1) * (5 if rival else 4) == len(set(names))
    assert ("scratch + lightly-train" in names) == rival
    assert ("COCO" in names) == coco


def test_some_rows_by_name_in_the_table_s_order(tmp_path: Path) -> None:
    made = settings(tmp_path / "none", ("scratch + AGSSP", "COCO", "scratch"))
    assert [start.name for start in compared(made, rival=False)] == ["scratch", "scratch + AGSSP"]


def test_an_unknown_row_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'no row "COCO \+ AGSP".*COCO \+ AGSSP'):
        compared(settings(tmp_path / "none", ("COCO + AGSP",)), rival=False)
