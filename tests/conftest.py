"""Fixtures shared by all tests: one Ray cluster a session, real images where they are mounted."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cluster.on_ray.section import RaySection
from cluster.on_ray.session import ray_session, start_ray
from tests.object_store import object_store

# No test fetches weights, and without a network the hub is asked for 50 s before it is given up. Set before
# anything imports the hub; the tests' subprocesses inherit it.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray for all tests marked `ray`; it ends with the test session."""
    # More logical CPUs than cores: tests wait for each other's work, not for Ray's bookkeeping.
    with ray_session(RaySection(cpus=4, gpus=0, object_store_gb=0.5)):
        start_ray()
        yield


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


@pytest.fixture(scope="session")
def magnetic_tile() -> Path:
    """Folder of the magnetic-tile images; tests that need it are skipped where it is absent."""
    folder = SHARED / "magnetic_tile"
    if not folder.is_dir():
        pytest.skip(f"real images are not mounted at {folder}")
    return folder
