"""What a start of the proof cost: all epochs, those before a resume too."""

from pathlib import Path

import pyarrow as pa

from benchmarks.real_surfaces.rows import epochs_seconds
from cluster.stages import Artifact
from cluster.storage import Storage
from training.backbone_stage import HISTORY_FILE


def test_epochs_are_summed(tmp_path: Path) -> None:
    stage = Storage.open(str(tmp_path))
    stage.write_table(HISTORY_FILE, pa.table({"epoch": [0, 1, 2], "seconds": [None, 2.0, 3.5]}))
    assert epochs_seconds(Artifact("backbone", "made", stage, {}, reused=False)) == 5.5
