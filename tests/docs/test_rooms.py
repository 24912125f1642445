"""The rooms of the house: no arrow upwards, no circle, and all of them in the picture."""

import pytest

from docs.generator.rooms import PACKAGES, TARGET, faults, levels, picture, room_imports


def test_imports_run_downwards_and_not_in_circles() -> None:
    imports = room_imports()
    assert len(imports) > 40
    assert sum(map(len, imports.values())) > 200
    assert set().union(*imports.values()) <= set(imports)
    assert faults(imports) == []


def test_an_arrow_upwards_and_a_circle_are_told() -> None:
    up = {"cluster.config": {"training.loop"}, "training.loop": set[str]()}
    assert faults(up) == ["cluster.config imports training.loop, which is above it"]
    circle = {"training.a": {"training.b"}, "training.b": {"training.a"}}
    (fault,) = faults(circle)
    assert fault.startswith("a circle: training.")
    with pytest.raises(ValueError, match="cycle"):
        levels(circle, "training")


def test_imports_are_found_wherever_they_stand() -> None:
    imports = room_imports()
    assert "pipelines.maps" in imports["pipelines.boxes"]
    assert "training.pipeline" in imports["training.opening"]  # within its functions
    assert "cluster.cli" in imports["agssp"]
    assert "training.starts" in imports["training.cli"]
    assert "cluster.tracking" not in imports["cluster.stages"]  # for a type checker alone


def test_a_room_lies_below_all_that_import_it() -> None:
    imports = room_imports()
    for package in PACKAGES:
        row = {room: number for number, rooms in enumerate(levels(imports, package)) for room in rooms}
        assert set(row) == {room for room in imports if room.partition(".")[0] == package}
        for room, number in row.items():
            assert all(row[other] > number for other in imports[room] if other in row)


def test_the_picture_shows_every_room() -> None:
    imports = room_imports()
    drawn = picture(imports)
    for room in imports:
        if "." in room:
            assert f">{room.partition('.')[2]}</text>" in drawn
    assert TARGET.read_text("utf-8").startswith(drawn.partition("viewBox")[0])
