"""Versions that come and go in a real registry, and what a replica makes of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cluster.errors import UserError
from cluster.registry.registry import ModelVersion, point_alias
from cluster.tracking.run import client_of
from cluster.tracking.tracker import Tracker
from tests.training.serving.registered_detectors import ALIAS, NAME, REFERENCE, registered, tracker_in
from training.serving.following import Follower
from training.serving.served_model import ServedModel

CPU = torch.device("cpu")


@pytest.fixture
def tracker(tracked: Callable[[Path], Path], tmp_path: Path) -> Tracker:
    return tracker_in(tracked(tmp_path / "work"))


def follower(tracker: Tracker, reference: str = REFERENCE, poll_s: float = 1000) -> Follower:
    return Follower(
        tracker,
        reference,
        metric="map50",
        poll_s=poll_s,
        load=lambda version: ServedModel.load(tracker, version, CPU),
    )


def served(following: Follower) -> int:
    assert following.model is not None
    return following.model.version.version


def begun(tracker: Tracker) -> Follower:
    following = follower(tracker)
    following.begin(None)
    return following


def test_a_better_version_is_taken_and_a_worse_one_refused(tracker: Tracker, tmp_path: Path) -> None:
    registered(tracker, tmp_path / "1", 1, map50=0.5)
    following = begun(tracker)
    assert served(following) == 1
    first = following.model
    assert first is not None
    assert following.look(first.identity) is None
    registered(tracker, tmp_path / "2", 2, map50=0.6)
    assert following.look(first.identity) == first.identity
    assert served(following) == 2
    assert "0.6000 on line after 0.5000" in following.grounds
    registered(tracker, tmp_path / "3", 3, map50=0.55)
    for _ in range(3):
        assert following.look(None) is None
    assert served(following) == 2
    assert following.refusal is not None
    assert following.refusal.identity[0] == 3
    assert "worse" in following.refusal.reason
    assert following.refusals == 1
    point_alias(client_of(tracker.uri), NAME, ALIAS, 2)
    following.look(None)
    assert following.refusal is None


def test_versions_that_cannot_be_served_are_refused(tracker: Tracker, tmp_path: Path) -> None:
    registered(tracker, tmp_path / "1", 1, map50=0.5)
    following = begun(tracker)
    # Numbers that are none, behind a perfect figure.
    registered(tracker, tmp_path / "2", 2, map50=0.9, broken=True)
    following.look(None)
    assert served(following) == 1
    assert following.refusal is not None
    assert "NaN" in following.refusal.reason
    # Files that were changed after they were registered.
    registered(tracker, tmp_path / "3", 3, map50=0.9)
    for stored in tmp_path.glob("work/mlartifacts/**/detector.safetensors"):
        stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    following.look(None)
    assert served(following) == 1
    assert following.refusal.identity[0] == 3
    assert "differs from the registry" in following.refusal.reason


def test_a_version_that_could_not_be_loaded_is_tried_again_later(tracker: Tracker, tmp_path: Path) -> None:
    registered(tracker, tmp_path / "1", 1)
    tries: list[int] = []

    def load(version: ModelVersion) -> ServedModel:
        tries.append(version.version)
        if tries.count(2) in (1, 2):
            raise UserError("the store is away")
        return ServedModel.load(tracker, version, CPU)

    following = Follower(tracker, REFERENCE, metric="map50", poll_s=0.2, load=load)
    following.begin(None)
    registered(tracker, tmp_path / "2", 2)
    for _ in range(20):  # at once: one try
        following.look(None)
        if len(tries) > 2:
            break
    assert served(following) == 1
    while served(following) == 1:
        following.look(None)
    assert tries == [1, 2, 2, 2]


def test_a_registry_that_is_away_changes_nothing(tracker: Tracker, tmp_path: Path) -> None:
    registered(tracker, tmp_path / "1", 1)
    following = begun(tracker)
    database = tmp_path / "work" / "mlflow.db"
    database.rename(tmp_path / "away")
    database.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    following.look(None)
    assert served(following) == 1
    assert "registry" in following.fault
    (tmp_path / "away").replace(database)
    following.look(None)
    assert following.fault == ""


def test_a_new_replica_begins_where_the_others_are(tracker: Tracker, tmp_path: Path) -> None:
    registered(tracker, tmp_path / "1", 1, map50=0.5)
    old = begun(tracker)
    registered(tracker, tmp_path / "2", 2, map50=0.4)  # refused by the others
    assert old.model is not None
    new = follower(tracker)
    new.begin(old.model.identity)
    assert served(new) == 1
    new.look(old.model.identity)
    assert served(new) == 1
    assert new.refusal is not None


def test_a_replica_that_was_late_takes_what_the_others_serve(tracker: Tracker, tmp_path: Path) -> None:
    registered(tracker, tmp_path / "1", 1, map50=0.5)
    late, early = begun(tracker), begun(tracker)
    registered(tracker, tmp_path / "2", 2, map50=0.6)
    early.look(None)
    registered(tracker, tmp_path / "3", 3, map50=0.55)  # better than what the late one has
    assert early.model is not None
    late.look(early.model.identity)
    assert served(late) == 2
    assert late.refusal is not None
    assert late.refusal.identity[0] == 3


@pytest.mark.parametrize("reference", [NAME, f"{NAME}@1"])
def test_a_name_follows_the_newest_and_a_number_stays(
    tracker: Tracker, tmp_path: Path, reference: str
) -> None:
    registered(tracker, tmp_path / "1", 1)
    following = follower(tracker, reference)
    following.begin(None)
    registered(tracker, tmp_path / "2", 2)
    following.look(None)
    assert served(following) == (2 if reference == NAME else 1)


def test_a_name_that_is_none_is_said(tracker: Tracker, tmp_path: Path) -> None:
    registered(tracker, tmp_path / "1", 1)
    with pytest.raises(UserError, match='no version or alias "champoin"'):
        follower(tracker, f"{NAME}@champoin").begin(None)
