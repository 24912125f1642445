"""A workspace and its tracker."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker


@pytest.fixture
def workspace(tmp_path: Path) -> Storage:
    """An empty local workspace, in a folder with awkward characters."""
    storage = Storage.open(str(tmp_path / "work space#%41"))
    storage.create()
    return storage


@pytest.fixture
def tracker(workspace: Storage, tracked: Callable[[Path], Path]) -> Tracker:
    """The embedded tracker of `workspace`."""
    tracked(Path(workspace.path))
    return Tracker.open(TrackingSection(), workspace)
