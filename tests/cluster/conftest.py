"""A tracker on a database whose tables are made once a session, as MLflow takes seconds for that."""

import shutil
from pathlib import Path

import pytest

from cluster.storage.storage import Storage
from cluster.tracking.run import client_of
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker


@pytest.fixture
def workspace(tmp_path: Path) -> Storage:
    """An empty local workspace, in a folder with awkward characters."""
    storage = Storage.open(str(tmp_path / "work space#%41"))
    storage.create()
    return storage


@pytest.fixture(scope="session")
def virgin_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with tables and nothing in them."""
    storage = Storage.open(str(tmp_path_factory.mktemp("virgin")))
    client_of(Tracker.open(TrackingSection(), storage).uri)
    return Path(storage.path) / "mlflow.db"


@pytest.fixture
def tracker(workspace: Storage, virgin_database: Path) -> Tracker:
    """The embedded tracker of `workspace`."""
    shutil.copy(virgin_database, Path(workspace.path) / "mlflow.db")
    return Tracker.open(TrackingSection(), workspace)
