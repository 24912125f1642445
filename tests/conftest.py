"""Fixtures shared by all tests: one Ray a session, an object store, MLflow's tables made once."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from cluster.errors import UserError
from cluster.on_ray.section import RaySection
from cluster.on_ray.session import ray_session, start_ray
from cluster.storage.storage import Storage
from cluster.tracking.run import client_of
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from tests.mlflow_tables import make_tables_once
from tests.object_store import object_store
from tests.repository import ROOT

# No test fetches weights, and without a network the hub is asked for 50 s before it is given up. Set before
# anything imports the hub; the tests' subprocesses inherit it.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# More processes than cores compute, and a thread that spins for another one takes a third one's core.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # OpenMP reads it as PyTorch is imported
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's workers are polite (15); a test waits for them

# The machine is shared: an example's time says nothing.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

RAY_STARTS = 4  # Ray gives itself half a minute, too little where three start at once on a busy machine

MARKERS = ("ray", "chaos", "slow")  # by which the Makefile chooses files

# The files that take longest come first, so that all processes end at about the same time.
LONGEST = (
    "tests/chaos/test_training.py",
    "tests/training/loop/test_fit_ray.py",
    "tests/training/models/test_detector_exports.py",
    "tests/e2e/test_whole_run.py",
    "tests/tuning/transfer/test_transfer.py",
    "tests/pipelines/tables/test_table_job_ray.py",
    "tests/pipelines/tables/test_table_job_chaos.py",
    "tests/training/models/test_detector_families.py",
    "tests/tuning/search/test_asha_ray.py",
    "tests/tuning/search/test_search_chaos.py",
    "tests/training/serving/test_serving_ray.py",
    "tests/chaos/test_preemption.py",
    "tests/cluster/tracking/test_team_server.py",
    "tests/pipelines/maps/test_mutual_stage_ray.py",
    "tests/pipelines/maps/test_stage_ray.py",
    "tests/chaos/test_finetune.py",
    "tests/e2e/test_submit.py",
    "tests/benchmarks/test_proof_run.py",
    "tests/tuning/studies/test_studies_slow.py",
    "tests/pipelines/maps/test_resources.py",
    "tests/docs/test_run.py",
    "tests/training/metrics/test_ultralytics_validator.py",
    "tests/training/encoder/test_train.py",
    "tests/pipelines/maps/test_kead_reference.py",
    "tests/tuning/gain/test_gain.py",
    "tests/pipelines/audit/test_audit_stage.py",
    "tests/examples/test_examples.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; with `--no-loadscope-reorder` xdist hands them out in this order.

    Raises:
        pytest.UsageError: a test has one of `MARKERS` that its file does not name: `make test` would miss it;
            or a file of `LONGEST` is not there.
    """
    if moved := [name for name in LONGEST if not (ROOT / name).is_file()]:
        raise pytest.UsageError(f"tests/conftest.py: LONGEST names what is not there: {', '.join(moved)}")
    rank = {ROOT / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
    marks = {(item.path, mark.name) for item in items for mark in item.iter_markers()}
    for path, name in sorted(mark for mark in marks if mark[1] in MARKERS):
        if f"mark.{name}" not in path.read_text("utf-8"):
            raise pytest.UsageError(f"{path}: a test has the marker {name}, which its file does not name")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before any fixture, in case the test before imported MLflow."""
    make_tables_once()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray for all tests of this process marked `ray`; it ends with the test session."""
    # More logical CPUs than cores: tests wait for each other's work, not for Ray's bookkeeping.
    with ray_session(RaySection(cpus=4, gpus=0, object_store_gb=0.5)):
        for tries_left in reversed(range(RAY_STARTS)):
            try:
                start_ray()
                break
            except UserError:
                if not tries_left:
                    raise
        yield


@pytest.fixture(scope="session")
def virgin_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with tables and nothing in them, to be copied: MLflow takes seconds to make one."""
    storage = Storage.open(str(tmp_path_factory.mktemp("virgin")))
    client_of(Tracker.open(TrackingSection(), storage).uri)
    return Path(storage.path) / "mlflow.db"


@pytest.fixture(scope="session")
def tracked(virgin_database: Path) -> Callable[[Path], Path]:
    """Makes the folder it is given, with a copy of `virgin_database` in it, and returns it."""

    def lay(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(virgin_database, folder / "mlflow.db")
        return folder

    return lay


@pytest.fixture(scope="session")
def swift() -> Iterator[Mapping[str, str]]:
    """A real object store with an empty bucket `plant`; the environment by which clients find it."""
    with object_store() as environment:
        yield environment


@pytest.fixture
def in_swift(swift: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """`swift`, in this process's environment too."""
    for name, value in swift.items():
        monkeypatch.setenv(name, value)
    return swift
