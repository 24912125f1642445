"""`agssp models` as typed: answers for people and programs, and what was mistyped."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cluster.cli.model_commands import models as app
from cluster.cli.projects import read_by
from cluster.registry.provenance import Provenance
from cluster.storage.storage import Storage
from cluster.tracking.run import client_of
from cluster.tracking.tracker import Tracker
from tests.cluster.registry.registered_models import DATASET, DIGEST, NAME, judged, registered, weights_run
from training.project import read_project

PARENT = "line-detector-yolov8n"
read_by(read_project)


@pytest.fixture
def place(workspace: Storage, tracker: Tracker, tmp_path: Path) -> str:
    """A registry of a pretrained detector and two finetuned ones, the first of them better."""
    run, digests = weights_run(tracker, tmp_path / "weights")
    registered(run, digests, "d0", name=PARENT)
    made = Provenance(corpus="c0", prompts="p0", parents={"detector": f"{PARENT}@1"}, seeds={"finetune": 1})
    registered(run, digests, "f0", evaluation=judged(0.75), provenance=made, alias="champion")
    registered(run, digests, "f1", evaluation=judged(0.5), provenance=made)
    return f"workspace={workspace.path}"


def answer(*words: str) -> dict[str, Any]:
    """The JSON of a command that succeeds."""
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.stderr
    content: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return content


def refusal(*words: str) -> str:
    """The sentence of a command that is refused."""
    result = CliRunner().invoke(app, [*words])
    assert result.exit_code == 2
    return result.stderr


def test_list_filters_by_alias_and_tag(place: str) -> None:
    assert [row["name"] for row in answer("list", place)["models"]] == [PARENT, NAME]
    assert [row["name"] for row in answer("list", place, "--alias", "champion")["models"]] == [NAME]
    assert [row["name"] for row in answer("list", place, "--tag", "fingerprint=d*")["models"]] == [PARENT]
    assert "must read KEY=VALUE" in refusal("list", place, "--tag", "fingerprint")
    twice = refusal("list", place, "--tag", "fingerprint=d0", "--tag", "fingerprint=f0")
    assert "names fingerprint twice" in twice


def test_versions_are_ranked(place: str) -> None:
    best = answer("versions", "*", place, "--best", "mAP50", "--dataset", DATASET)["versions"]
    assert [(row["version"], row["value"]) for row in best] == [(1, 0.75), (2, 0.5)]
    assert len(answer("versions", NAME, place)["versions"]) == 2
    assert "--dataset is needed" in refusal("versions", NAME, place, "--best", "mAP50")
    for dataset in (DATASET, DIGEST, DIGEST[:8]):  # by name, or by the first digits of the digest
        assert len(answer("versions", "*", place, "--dataset", dataset)["versions"]) == 2
    assert answer("versions", "*", place, "--dataset", "e" * 8) == {"versions": []}
    assert 'did you mean "line"' in refusal("versions", NAME, place, "--best", "mAP50", "--dataset", "lin")


def test_show_takes_references_and_the_best(place: str) -> None:
    assert answer("show", NAME, place)["version"] == 2
    shown = answer("show", f"{NAME}@champion", place)
    assert shown["provenance"]["prompts"] == "p0"
    assert shown["metrics"] == {"map50": 1.0}
    assert answer("show", "line-*", place, "--best", "map50", "--dataset", DATASET)["version"] == 1
    assert "give both or none" in refusal("show", NAME, place, "--dataset", DATASET)
    assert "did you mean" in refusal("show", "line-finetune", place)


def test_a_best_without_a_figure_is_none(workspace: Storage, tracker: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(tracker, tmp_path / "weights")
    for number, value in enumerate((0.3, math.nan, 0.6)):
        registered(run, digests, f"f{number}", evaluation=judged(value))
    client_of(tracker.uri).log_metric(run.id, "odd", math.nan)
    words = (f"workspace={workspace.path}", "--best", "mAP50", "--dataset", DATASET)
    rows = answer("versions", NAME, *words)["versions"]
    assert [(row["version"], row["value"]) for row in rows] == [(3, 0.6), (1, 0.3), (2, None)]
    shown = answer("show", NAME, *words)
    assert (shown["version"], shown["metrics"]["odd"]) == (3, None)
    assert answer("pull", NAME, *words, "--out", str(tmp_path / "out"))["version"] == 3
    people = CliRunner().invoke(app, ["versions", NAME, words[0]])
    assert "nan" not in people.stdout.lower()


def test_compare_and_lineage(place: str) -> None:
    rows = answer("compare", f"{NAME}@1", f"{NAME}@2", place)["evaluations"]
    assert [row["difference"] for row in rows] == [-0.25, -0.125]
    assert answer("lineage", NAME, place)["parents"][0]["reference"] == f"{PARENT}@1"
    assert answer("lineage", PARENT, place)["children"] == [f"{NAME}@1", f"{NAME}@2"]


def stages(lr: float, corpus: str, code: str) -> dict[str, Any]:
    """What `model.json` says of two stages."""
    corpus_stage = {"fingerprint": corpus, "config": {"layout": "flat"}, "extra": {"images": corpus * 4}}
    config = {"loop": {"lr": lr, "epochs": 3}}
    return {
        "stages": {
            "corpus": {**corpus_stage, "versions": {"code": "1"}, "results": {"found": len(corpus)}},
            "finetune": {"config": config, "extra": {}, "versions": {"code": code}, "results": {"map50": lr}},
        }
    }


def test_compare_answers_what_was_set_read_and_run_differently(
    workspace: Storage, tracker: Tracker, tmp_path: Path
) -> None:
    made = [stages(0.1, "a" * 16, "1"), stages(0.2, "a" * 16, "2"), stages(0.1, "b" * 16, "1")]
    for number, document in enumerate(made):
        run, digests = weights_run(tracker, tmp_path / str(number))
        described = tmp_path / str(number) / "model.json"
        described.write_text(json.dumps(document))
        run.log_file(described, "weights")
        digests["model.json"] = hashlib.sha256(described.read_bytes()).hexdigest()
        registered(run, digests, f"f{number}", evaluation=judged(0.5))
    place = f"workspace={workspace.path}"
    found = answer("compare", f"{NAME}@1", f"{NAME}@2", place)
    assert found["settings"] == {"finetune.loop.lr": {"first": 0.1, "second": 0.2}}
    assert found["code"] == {"finetune.code": {"first": "1", "second": "2"}}
    assert found["data"] == {}
    other = answer("compare", f"{NAME}@1", f"{NAME}@3", place)
    assert (other["settings"], other["code"], list(other["data"])) == ({}, {}, ["corpus.images"])
    people = CliRunner().invoke(app, ["compare", f"{NAME}@1", f"{NAME}@3", place]).stdout
    assert "settings: the same" in people
    assert "corpus.images" in people
    assert "aaaa" not in people


def test_compare_says_where_nothing_is_recorded(place: str) -> None:
    found = answer("compare", f"{NAME}@1", f"{NAME}@2", place)
    assert (found["recorded"], found["settings"]) == (False, {})
    assert "not recorded" in CliRunner().invoke(app, ["compare", f"{NAME}@1", f"{NAME}@2", place]).stdout


def test_promote_and_pull(place: str, tmp_path: Path) -> None:
    assert "--force promotes" in refusal("promote", NAME, place, "--dataset", DATASET)
    assert answer("promote", NAME, place, "--dataset", DATASET, "--force")["forced"] is True
    assert answer("show", f"{NAME}@champion", place)["version"] == 2
    pulled = answer("pull", NAME, place, "--out", str(tmp_path / "out"))
    assert Path(pulled["weights"]).read_bytes() == (tmp_path / "weights/detector.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list"], "champion → 1"),
        (["versions", NAME], "line: map50 0.5000"),
        (["show", f"{NAME}@1"], f"detector {PARENT}@1"),
        (["compare", f"{NAME}@1", f"{NAME}@2"], "-0.2500"),
        (["lineage", NAME], f"{PARENT}@1 (candidate)"),
        (["lineage", PARENT], f"Made of it: {NAME}@1, {NAME}@2"),
    ],
)
def test_people_get_tables(place: str, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.cli.command.out.width", 200)
    result = CliRunner().invoke(app, [*words, place])
    assert result.exit_code == 0
    assert said in result.stdout


def test_an_empty_workspace_has_no_models(tmp_path: Path) -> None:
    assert answer("list", f"workspace={tmp_path}/none") == {"models": []}
    assert answer("versions", "*", f"workspace={tmp_path}/none") == {"versions": []}
    assert "none is registered yet" in refusal("show", "x", f"workspace={tmp_path}/none")


def test_only_the_ground_of_a_config_is_read(tmp_path: Path) -> None:
    config = tmp_path / "project.yaml"
    config.write_text(f"workspace: {tmp_path}/none\ncorpus: {{root: photos}}\n")
    assert answer("list", str(config), "finetune.limit=50") == {"models": []}
    assert 'did you mean "tracking"' in refusal("list", str(config), "trackin.uri=http://host")
    assert 'Override tracking.url: unknown key; did you mean "uri"' in refusal("list", "tracking.url=x")
