"""Ranking, comparing and promoting: only on the same images, and never a worse one without force."""

import json
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.registry.promotion import promote
from cluster.registry.provenance import Evaluation, Provenance
from cluster.registry.ranking import comparison, ranked
from cluster.registry.registry import ModelVersion, Registry
from cluster.tracking.run import client_of
from cluster.tracking.tracker import Tracker
from tests.cluster.registry.registered_models import DATASET, NAME, judged, registered, weights_run


def version(number: int, *evaluations: Evaluation, name: str = NAME) -> ModelVersion:
    tags = {key: text for evaluation in evaluations for key, text in evaluation.tags().items()}
    tags |= Provenance(corpus="c", seeds={"finetune": number}).tags()
    return ModelVersion(name, number, (), "2026-01-01T00:00:00+00:00", "", "", "", tags)


def test_the_best_is_first_and_spelling_does_not_matter() -> None:
    versions = [version(1, judged(0.5)), version(2, judged(0.75)), version(3), version(4, judged(0.75))]
    for metric in ("mAP50", "map50", "mAP@50"):
        assert [row.version.version for row in ranked(versions, metric, DATASET)] == [4, 2, 1]
    assert [row.value for row in ranked(versions, "mAP50:95", DATASET)] == [0.375, 0.375, 0.25]
    assert [row.version.version for row in ranked(versions, "map50", "dddddd")] == [4, 2, 1]


def test_what_can_not_be_ranked_is_told() -> None:
    versions = [version(1, judged(0.5)), version(2, judged(0.75, digest="e" * 64))]
    with pytest.raises(UserError, match=r"2 different sets of images.*dddddddddddd, eeeeeeeeeeee"):
        ranked(versions, "map50", DATASET)
    assert [row.version.version for row in ranked(versions, "map50", "eeeeeeeeeeee")] == [2]
    with pytest.raises(UserError, match='did you mean "line"'):
        ranked(versions, "map50", "lines")
    with pytest.raises(UserError, match="none of them was evaluated"):
        ranked([version(1)], "map50", DATASET)
    with pytest.raises(UserError, match='no metric "auroc"'):
        ranked(versions[:1], "auroc", DATASET)


def test_a_comparison_subtracts_only_on_the_same_images() -> None:
    first = version(1, judged(0.5), judged(0.5, "x", "1" * 64))
    second = version(2, judged(0.75), judged(0.75, "x", "2" * 64))
    result = comparison(first, second)
    rows = {(row["dataset"], row["metric"]): row["difference"] for row in result["evaluations"]}
    assert rows == {
        (DATASET, "map50"): 0.25,
        (DATASET, "map50_95"): 0.125,
        ("x", "map50"): None,
        ("x", "map50_95"): None,
    }
    assert result["differences"]["provenance.seeds.finetune"] == {"first": 1, "second": 2}
    assert "provenance.corpus" not in result["differences"]


@pytest.fixture
def three(tracker: Tracker, tmp_path: Path) -> Tracker:
    """Versions of 0.5, 0.75 and 0.25; the second is champion."""
    run, digests = weights_run(tracker, tmp_path / "weights")
    for number, value in enumerate((0.5, 0.75, 0.25), start=1):
        registered(run, digests, f"f{number}", evaluation=judged(value))
    champion(tracker, 2)
    return tracker


def champion(tracker: Tracker, number: int, *, dataset: str = DATASET, force: bool = False) -> object:
    registry = Registry.open(tracker)
    chosen = registry.version(f"{NAME}@{number}")
    return promote(tracker, registry, chosen, dataset=dataset, metric="mAP50", force=force)


def test_a_worse_one_is_refused_unless_forced(three: Tracker) -> None:
    with pytest.raises(UserError, match=r"@2, which holds the alias, is better.*0\.7500 .* against 0\.5000"):
        champion(three, 1)
    assert Registry.open(three).version(f"{NAME}@champion").version == 2
    result = champion(three, 1, force=True)
    assert result == {
        "name": NAME,
        "version": 1,
        "alias": "champion",
        "dataset": DATASET,
        "metric": "map50",
        "value": 0.5,
        "previous": 2,
        "previous_value": 0.75,
        "forced": True,
    }
    promoted = Registry.open(three).version(f"{NAME}@champion")
    assert promoted.version == 1
    assert json.loads(promoted.tags["promoted.champion"])["forced"] is True


def test_a_better_one_is_taken(three: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(three, tmp_path / "better")
    registered(run, digests, "better", evaluation=judged(0.875))
    champion(three, 4)
    assert Registry.open(three).version(f"{NAME}@champion").version == 4
    client = client_of(three.uri)
    assert int(client.get_model_version_by_alias(NAME, "champion").version) == 4
    assert json.loads(client.get_model_version(NAME, "4").tags["promoted.champion"])["value"] == 0.875


def test_no_evaluation_no_promotion_not_even_forced(three: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(three, tmp_path / "unjudged")
    registered(run, digests, "unjudged")
    for force in (False, True):
        with pytest.raises(UserError, match="was not evaluated"):
            champion(three, 4, force=force)
        with pytest.raises(UserError, match='did you mean "line"'):
            champion(three, 1, dataset="lin", force=force)


def test_other_images_do_not_compare(three: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(three, tmp_path / "others")
    registered(run, digests, "others", evaluation=judged(0.99, digest="e" * 64))
    with pytest.raises(UserError, match="evaluated on other images"):
        champion(three, 4)


@pytest.mark.parametrize("alias", ["latest", "v3", "7", "a b", "", "x" * 300])
def test_aliases_that_mlflow_keeps_for_itself_are_refused(three: Tracker, alias: str) -> None:
    registry = Registry.open(three)
    with pytest.raises(UserError, match="can't be an alias"):
        promote(three, registry, registry.version(NAME), dataset=DATASET, metric="map50", alias=alias)
