"""The registry: versions, aliases, lineage, wrong names; its reader against MLflow's client."""

import math
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from cluster.errors import UserError
from cluster.registry.files import is_registered
from cluster.registry.provenance import Provenance, evaluations, file_digests
from cluster.registry.reader import registry_reader
from cluster.registry.registry import Registry, register
from cluster.storage.storage import Storage
from cluster.tracking.run import Run, client_of
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from tests.cluster.registry.registered_models import DATASET, NAME, judged, registered, weights_run


@pytest.fixture
def run(tracker: Tracker, tmp_path: Path) -> Run:
    """A run that holds weights and a metric."""
    return weights_run(tracker, tmp_path / "weights", 0.75)[0]


def test_versions_count_up_and_the_same_stage_makes_none(tracker: Tracker, run: Run) -> None:
    made = [registered(run, {}, "a"), registered(run, {}, "b"), registered(run, {}, "a", alias="champion")]
    assert made == [1, 2, 1]
    (row,) = Registry.open(tracker).models
    assert (row.name, row.versions, row.latest) == (NAME, 2, 2)
    assert row.aliases == {"candidate": 2, "champion": 1}


def test_a_version_tells_what_made_it(tracker: Tracker, run: Run) -> None:
    made = Provenance(
        corpus="c0",
        prompts="p0",
        thresholds={"rail": 0.25},
        parents={"detector": "line-detector-yolov8n@1"},
        code_version="0.1.0+abc",
        seeds={"finetune": 3},
    )
    registered(run, {"detector.safetensors": "0" * 64}, "a", provenance=made, evaluation=judged(0.5))
    registered(run, {}, "b")
    version = Registry.open(tracker).version(f"{NAME}@1")
    assert version.provenance == made
    assert version.evaluations == {DATASET: judged(0.5)}
    assert version.files == {"detector.safetensors": "0" * 64}
    document = version.document()
    assert document["provenance"]["seeds"] == {"finetune": 3}
    assert document["lineage"] == {"fingerprint": "a", "corpus": "c0"}
    assert (document["run_id"], document["description"]) == (run.id, "a detector")
    assert registry_reader(tracker).metrics(run.id) == {"map50": 0.75}


def test_references_name_the_newest_a_number_or_an_alias(tracker: Tracker, run: Run) -> None:
    for fingerprint in "abc":
        registered(run, {}, fingerprint)
    registry = Registry.open(tracker)
    wanted = [f"{NAME}{which}" for which in ("", "@2", "@candidate")]
    assert [registry.version(reference).version for reference in wanted] == [3, 2, 3]


def test_versions_are_found_by_pattern_alias_and_tag(tracker: Tracker, run: Run) -> None:
    registered(run, {}, "3fa94c", name="one-finetune-yolov8n")
    registered(run, {}, "77aa00", name="two-finetune-yolov8n")
    registered(run, {}, "88bb00", name="two-finetune-yolov8n", alias="champion")
    registry = Registry.open(tracker)
    assert len(registry.versions()) == 3
    assert [v.reference for v in registry.versions("two-*")] == [
        "two-finetune-yolov8n@1",
        "two-finetune-yolov8n@2",
    ]
    assert [v.version for v in registry.versions(alias="champion")] == [2]
    assert [v.name for v in registry.versions(tags={"fingerprint": "3fa9*"})] == ["one-finetune-yolov8n"]
    assert registry.versions(tags={"no": "such"}) == registry.versions(tags={"no": "*"}) == []
    with pytest.raises(UserError, match="did you mean"):
        registry.versions("two-finetune-yolov8")


def test_parents_and_children_are_found(tracker: Tracker, run: Run) -> None:
    registered(run, {}, "b", name="line-backbone-yolov8n")
    registered(run, {}, "f", provenance=Provenance(parents={"backbone": "line-backbone-yolov8n@1"}))
    registry = Registry.open(tracker)
    backbone, detector = registry.version("line-backbone-yolov8n"), registry.version(NAME)
    assert registry.parents(detector) == [backbone]
    assert registry.children(backbone) == [detector]
    assert registry.parents(backbone) == registry.children(detector) == []


def test_a_version_whose_files_are_damaged_is_registered_anew(
    tracker: Tracker, run: Run, tmp_path: Path
) -> None:
    digests = weights_run(tracker, tmp_path / "weights", 0.75)[1]
    assert registered(run, digests, "a") == registered(run, digests, "a") == 1
    assert is_registered(tracker, f"{NAME}@1", "a")
    for reference, fingerprint in ((f"{NAME}@2", "a"), (f"{NAME}@1", "b"), ("other@1", "a")):
        assert not is_registered(tracker, reference, fingerprint)
    source = Registry.open(tracker).version(NAME).source
    (Path(unquote(urlsplit(source).path)) / "detector.safetensors").write_bytes(b"something else")
    assert not is_registered(tracker, f"{NAME}@1", "a")
    again, same = weights_run(tracker, tmp_path / "weights", 0.75)
    assert same == digests
    assert registered(again, digests, "a") == registered(again, digests, "a") == 2
    assert is_registered(tracker, f"{NAME}@2", "a")
    assert Registry.open(tracker).version(f"{NAME}@candidate").version == 2


def test_a_later_evaluation_reaches_the_version_that_exists(tracker: Tracker, run: Run) -> None:
    registered(run, {}, "a", evaluation=judged(0.5))
    registered(run, {}, "a", evaluation=judged(0.25, "other", "e" * 64))
    assert set(Registry.open(tracker).version(NAME).evaluations) == {DATASET, "other"}


def test_the_reader_agrees_with_mlflows_client(tracker: Tracker, run: Run) -> None:
    for number in range(3):
        registered(run, {}, f"f{number}", name=f"m{number % 2}", evaluation=judged(number / 4))
    client = client_of(tracker.uri)
    client.delete_model_version("m0", "1")
    client.create_registered_model("empty", description="nothing in it")
    reader = registry_reader(tracker)
    theirs = sorted(client.search_model_versions(), key=lambda v: (v.name, int(v.version)))
    assert [
        (v.name, v.version, v.created, v.description, v.run_id, v.source, dict(v.tags))
        for v in reader.versions()
    ] == [
        (v.name, int(v.version), v.creation_timestamp, v.description, v.run_id, v.source, dict(v.tags))
        for v in theirs
    ]
    models = {m.name: (m.description or "", dict(m.aliases)) for m in client.search_registered_models()}
    assert {m.name: (m.description, dict(m.aliases)) for m in reader.models()} == models
    assert reader.metrics(run.id) == client.get_run(run.id).data.metrics
    assert reader.metrics("0" * 32) == {}


def test_a_metric_that_is_no_number_is_not_zero(tracker: Tracker, run: Run) -> None:
    client = client_of(tracker.uri)
    odd = {"lost": math.nan, "large": math.inf, "small": -math.inf, "zero": 0.0}
    for name, value in odd.items():
        client.log_metric(run.id, name, value)
    read = registry_reader(tracker).metrics(run.id)
    assert math.isnan(read.pop("lost"))
    assert read == {"map50": 0.75, "large": math.inf, "small": -math.inf, "zero": 0.0}


def test_prompts_of_language_models_are_no_models(tracker: Tracker, run: Run) -> None:
    registered(run, {}, "a")
    client_of(tracker.uri).register_prompt("greeting", "Hello {{name}}")
    registry = Registry.open(tracker)
    assert [row.name for row in registry.models] == [NAME]
    assert {version.name for version in registry.versions()} == {NAME}


def test_the_source_holds_the_weights(tracker: Tracker, run: Run) -> None:
    registered(run, {}, "a")
    source = urlsplit(Registry.open(tracker).version(f"{NAME}@candidate").source)
    assert source.scheme == "file"
    assert (Path(unquote(source.path)) / "detector.safetensors").is_file()


def test_unknown_names_get_the_nearest(tracker: Tracker, run: Run) -> None:
    with pytest.raises(UserError, match="none is registered yet"):
        Registry.open(tracker).version("x")
    registered(run, {}, "a")
    registry = Registry.open(tracker)
    with pytest.raises(UserError, match=f'did you mean "{NAME}"'):
        registry.version("line-finetune-yolov8")
    with pytest.raises(UserError, match='did you mean "candidate"'):
        registry.version(f"{NAME}@candidat")
    for which in ("7", "01", "٢", "²", "9" * 5000):  # int() takes some of them, and fails on the last
        with pytest.raises(UserError, match=f'no version or alias "{which[:200]}"'):
            registry.version(f"{NAME}@{which}")


def test_a_reference_that_ends_in_at_is_not_the_newest(tracker: Tracker, run: Run) -> None:
    registered(run, {}, "a")
    with pytest.raises(UserError, match='names no version or alias after "@"'):
        Registry.open(tracker).version(f"{NAME}@")


def test_a_model_without_a_version_is_told(tracker: Tracker, run: Run) -> None:
    client_of(tracker.uri).create_registered_model("empty")
    with pytest.raises(UserError, match="has no version, or all were deleted"):
        Registry.open(tracker).version("empty")


def test_an_empty_tracker_lists_nothing_and_stays_empty(workspace: Storage) -> None:
    tracker = Tracker.open(TrackingSection(), workspace)
    assert Registry.open(tracker).models == []
    assert tracker.is_empty


def test_a_database_of_something_else_is_told(workspace: Storage) -> None:
    workspace.write("mlflow.db", b"")
    with pytest.raises(UserError, match="is it MLflow's database"):
        Registry.open(Tracker.open(TrackingSection(), workspace))


def test_weights_that_are_not_there_are_not_registered(tracker: Tracker, run: Run) -> None:
    with pytest.raises(ValueError, match="no artifacts"):
        register(run, name=NAME, folder="wrong", tags={"fingerprint": "a"}, description="")
    with pytest.raises(ValueError, match="fingerprint"):
        register(run, name=NAME, folder="weights", tags={}, description="")
    with pytest.raises(UserError, match="is not in"):
        registered(Run(run.tracking_uri, "0" * 32), {}, "a")
    assert Registry.open(tracker).models == []


def test_tags_that_are_not_ours_do_no_harm() -> None:
    tags = {
        "evaluation.x": "not json",
        "evaluation.y": '{"metrics": 3, "digest": "d"}',
        "thresholds": "[1]",
        "seeds": '{"a": "b"}',
        "sha256.../../etc/passwd": "0" * 64,
        "sha256.ok": "short",
    }
    assert evaluations(tags) == {}
    assert file_digests(tags) == {}
    assert Provenance.of(tags) == Provenance()


def test_thresholds_beyond_a_tag_are_digested() -> None:
    made = Provenance(thresholds={f"category_{number}": number / 7 for number in range(400)})
    read = Provenance.of(made.tags())
    assert read.thresholds["categories"] == 400
    assert len(str(read.thresholds["digest"])) == 64
