"""Which placement groups an actor made, read from the rows that the GCS keeps."""

from typing import Any

import pytest
from ray._private import state
from ray.core.generated import gcs_pb2

from cluster.on_ray.cleaner import groups_of

MINE, ANOTHERS = b"\x01" * 16, b"\x02" * 16


class Table:
    """The GCS' answer."""

    def __init__(self, rows: list[bytes]) -> None:
        self.rows = rows

    def get_placement_group_table(self) -> list[bytes]:
        return self.rows


def row(number: int, maker: bytes, standing: str) -> bytes:
    kind: Any = vars(gcs_pb2)["PlacementGroupTableData"]
    made = kind(
        placement_group_id=bytes([number]) * 18, creator_actor_id=maker, state=getattr(kind, standing)
    )
    return bytes(made.SerializeToString())


def test_an_actors_groups_are_those_it_made_and_that_are_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(1, MINE, "CREATED"), row(2, ANOTHERS, "CREATED"), row(3, MINE, "REMOVED")]
    rows += [row(4, MINE, "PENDING"), row(5, b"", "CREATED"), row(6, MINE, "RESCHEDULING")]
    monkeypatch.setattr(state.state, "_connect_and_get_accessor", lambda: Table(rows))
    assert [group.id.hex()[:2] for group in groups_of(MINE.hex())] == ["01", "04", "06"]
    assert groups_of("03" * 16) == []
