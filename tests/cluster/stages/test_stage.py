"""Stages: skipped when complete, resumed when not, and never written over."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

from cluster.stages.claim import FOLDER
from cluster.stages.sentences import summary
from cluster.stages.site import Site
from cluster.stages.stage import RECORD, Artifact, Workbench, digest, ensure, list_digest
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from tests.silent_tracking import SilentPipeline


@pytest.fixture
def pipeline(workspace: Storage) -> SilentPipeline:
    return SilentPipeline(Tracker.open(TrackingSection(), workspace), "p", {})


Make = Callable[..., Artifact]


@pytest.fixture
def make(workspace: Storage, pipeline: SilentPipeline) -> Make:
    """`ensure` of a stage whose body writes one file."""

    def body(bench: Workbench) -> Mapping[str, Any]:
        assert not bench.directory.exists(RECORD)
        bench.directory.write("data", b"made")
        return {"images": 3}

    def ensured(config: Mapping[str, Any] | None = None, **more: Any) -> Artifact:
        arguments: dict[str, Any] = {"config": config or {"k": 1}, "inputs": {}, "body": body} | more
        return ensure("maps", site=Site(workspace, pipeline), **arguments)

    return ensured


def test_the_second_time_is_skipped(make: Make, pipeline: SilentPipeline) -> None:
    first, second = make(), make()
    assert (first.reused, second.reused) == (False, True)
    assert first.fingerprint == second.fingerprint
    assert second.results == {"images": 3}
    assert second.record == first.directory.read_json(RECORD)
    assert pipeline.opened == 1


def test_what_was_left_elsewhere_and_is_gone_is_made_anew(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere: set[int] = set()

    def body(bench: Workbench) -> Mapping[str, Any]:
        elsewhere.add(len(elsewhere) + 1)
        return {"number": max(elsewhere)}

    def stands(results: Mapping[str, Any]) -> bool:
        return results["number"] in elsewhere

    made = [make(body=body, stands=stands) for _ in range(2)]
    assert [(one.reused, one.results["number"]) for one in made] == [(False, 1), (True, 1)]
    elsewhere.clear()
    elsewhere.update((7, 8))
    again = [make(body=body, stands=stands) for _ in range(2)]
    assert [(one.reused, one.results["number"]) for one in again] == [(False, 8), (True, 8)]
    assert "maps: what it had made is there no more" in capsys.readouterr().err


def test_the_record_tells_everything(make: Make) -> None:
    record = make({"k": 1}, extra={"weights": "w0"}).record
    assert record["config"] == {"k": 1}
    assert record["extra"] == {"weights": "w0"}
    assert record["mlflow_run_id"] == "id"
    assert {"python", "torch", "ray"} <= set(record["versions"])
    assert record["seconds"] >= 0


def test_whatever_decides_the_content_makes_a_new_directory(make: Make, workspace: Storage) -> None:
    upstream = make({"up": 1})
    other = make({"up": 2})
    made = [
        make(),
        make({"k": 2}),
        make(extra={"weights": "a"}),
        make(extra={"weights": "b"}),
        make(revision=2),
        make(inputs={"corpus": upstream}),
        make(inputs={"corpus": other}),
    ]
    assert not any(artifact.reused for artifact in made)
    assert len({artifact.fingerprint for artifact in made}) == len(made)
    assert len(workspace.at("maps").children()) == len(made) + 2
    assert all(
        make(artifact.record["config"], extra=artifact.record["extra"]).reused for artifact in made[:4]
    )


def test_what_is_prepared_is_named_but_decides_nothing(make: Make) -> None:
    plain, upstream = make({"k": 2}), make({"up": 1})
    prepared: list[Artifact] = []

    def prepare() -> Mapping[str, Artifact]:
        prepared.append(upstream)
        return {"inspection": upstream}

    first = make(prepare=prepare, inputs={"corpus": plain})
    assert first.fingerprint == make(inputs={"corpus": plain}).fingerprint
    assert first.directory.read_json(RECORD)["inputs"] == {
        "corpus": plain.fingerprint,
        "inspection": upstream.fingerprint,
    }
    assert make(prepare=prepare, inputs={"corpus": plain}).reused
    assert len(prepared) == 1  # a complete stage prepares nothing


def test_later_stages_are_found_where_an_earlier_one_came_to_the_same(make: Make) -> None:
    contents = iter(["same", "same", "other"])

    def content(directory: Storage) -> str:
        assert directory.read("data") == b"made"
        return next(contents)

    first, second, third = (make({"files": place}, content=content) for place in range(3))
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3
    assert (first.identity, second.identity, third.identity) == ("same", "same", "other")
    boxes = make({"boxes": 1}, inputs={"corpus": first})
    again = make({"boxes": 1}, inputs={"corpus": second})
    assert again.reused
    # What was read is told as it was; by what it was keyed, too.
    assert again.record["inputs"] == {"corpus": first.fingerprint}
    assert boxes.input_identities == again.input_identities == frozenset({second.identity})
    assert not make({"boxes": 1}, inputs={"corpus": third}).reused
    # A stage of former versions, and any that tells no content, stands for itself.
    assert boxes.identity == boxes.fingerprint


def test_an_interrupted_stage_is_resumed_in_its_own_directory(make: Make, workspace: Storage) -> None:
    def interrupted(bench: Workbench) -> Mapping[str, Any]:
        bench.directory.write("half", b"1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(body=interrupted)
    (name,) = workspace.at("maps").children()
    assert not workspace.at("maps", name).exists(RECORD)
    found: list[bytes] = []

    def resumed(bench: Workbench) -> Mapping[str, Any]:
        found.append(bench.directory.read("half"))
        return {}

    artifact = make(body=resumed)
    assert found == [b"1"]
    assert not artifact.reused
    assert workspace.at("maps").children() == [name]


def test_the_record_is_written_last(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    plain = Storage.write

    def write(self: Storage, name: str, data: bytes) -> None:
        if not self.path.endswith(FOLDER):
            written.append(name)
        plain(self, name, data)

    monkeypatch.setattr(Storage, "write", write)
    make()
    assert written == ["data", RECORD]


def test_a_failed_body_leaves_no_record_and_the_next_try_works(make: Make) -> None:
    def broken(bench: Workbench) -> Mapping[str, Any]:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        make(body=broken)
    assert not make().reused


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSONS, max_size=5))
def test_a_digest_ignores_the_order_of_keys(content: dict[str, Any]) -> None:
    assert digest(content) == digest(dict(reversed(content.items())))
    assert digest(content) != digest({**content, "one more key": 1})


def test_the_summary_is_one_line() -> None:
    assert summary({"images": 3, "per_s": 8.91234, "list": [1]}) == ": images 3, per s 8.912"
    assert summary({}) == ""


@given(st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text()), max_size=4))
def test_a_list_item_by_item_has_the_lists_digest(items: list[dict[str, Any]]) -> None:
    assert list_digest(iter(items)) == digest(items)
