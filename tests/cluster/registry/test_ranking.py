"""Ranking, comparing and promoting: only on the same images, and never a worse one without force."""

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from cluster.registry.promotion import promote
from cluster.registry.provenance import Evaluation, Provenance, evaluations
from cluster.registry.ranking import best, comparison, ranked
from cluster.registry.registry import ModelVersion, Registry
from cluster.tracking import entries as tracking_entries
from cluster.tracking.run import client_of
from cluster.tracking.tracker import Tracker
from tests.cluster.registry.registered_models import DATASET, DIGEST, NAME, judged, registered, weights_run


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


def stored(number: int, figure: str, metric: str = "map50") -> ModelVersion:
    """A version whose tag holds this figure as text."""
    text = f'{{"digest": "{DIGEST}", "images": 3, "metrics": {{"{metric}": {figure}}}}}'
    return ModelVersion(NAME, number, (), "", "", "", "", {f"evaluation.{DATASET}": text})


@pytest.mark.parametrize("nothing", ["NaN", "null", '"high"', "[]", "Infinity", "-Infinity", "true", "1e999"])
def test_a_figure_that_is_none_comes_last(nothing: str) -> None:
    for order in ((1, 2, 3), (3, 2, 1), (2, 1, 3)):
        versions = [stored(1, "0.3"), stored(2, nothing), stored(3, "0.6")]
        rows = ranked([versions[number - 1] for number in order], "mAP50", DATASET)
        assert [row.version.version for row in rows[:2]] == [3, 1]
        assert [row.value for row in rows[:2]] == [0.6, 0.3]
        assert rows[2].version.version == 2
        assert math.isnan(rows[2].value)
        assert best(versions, "mAP50", DATASET).version == 3
    with pytest.raises(UserError, match='No version has a figure of "map50" on "line": nothing could be'):
        best([stored(1, "NaN"), stored(2, "null")], "map50", DATASET)
    rows = ranked([stored(1, "NaN"), stored(2, "null")], "map50", DATASET)
    assert [row.version.version for row in rows] == [2, 1]


def test_a_version_without_the_metric_comes_last_and_no_hint_is_empty() -> None:
    versions = [stored(1, "0.5", "recall"), stored(2, "0.25")]
    assert [row.version.version for row in ranked(versions, "map50", DATASET)] == [2, 1]
    with pytest.raises(UserError, match=r'There is no metric "auroc" on "line"; .*(map50|recall)'):
        ranked(versions, "auroc", DATASET)
    bare = ModelVersion(NAME, 1, (), "", "", "", "", Evaluation(DATASET, DIGEST, 1, {}).tags())
    with pytest.raises(UserError, match="they have no figure there at all"):
        ranked([bare], "map50", DATASET)


def test_a_number_too_long_for_a_float_is_no_figure() -> None:
    assert math.isnan(ranked([stored(1, "9" * 4000)], "map50", DATASET)[0].value)


def test_a_dataset_s_name_is_read_back_whatever_it_holds() -> None:
    names = ["line (A)", "line [A]", "line"]
    tags = {
        tracking_entries.key(key): text for name in names for key, text in judged(0.5, name).tags().items()
    }
    assert set(evaluations(tags)) == set(names)


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


def test_one_that_finds_nothing_is_refused_unless_forced(tracker: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(tracker, tmp_path / "weights")
    for number, value in enumerate((0.0, math.nan), start=1):
        registered(run, digests, f"f{number}", evaluation=judged(value))
    with pytest.raises(UserError, match=r"@1 finds nothing: its map50 on line is 0\.0000; --force promotes"):
        champion(tracker, 1)
    with pytest.raises(UserError, match="@2 has no map50"):
        champion(tracker, 2)
    assert "champion" not in Registry.open(tracker).models[0].aliases
    assert champion(tracker, 1, force=True)["forced"] is True  # type: ignore[index]


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


def test_only_the_holder_that_was_compared_with_is_replaced(tracker: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(tracker, tmp_path / "weights")
    for number, value in enumerate((0.25, 0.5, 0.75), start=1):
        registered(run, digests, f"f{number}", evaluation=judged(value))
    champion(tracker, 1)
    seen = Registry.open(tracker)
    champion(tracker, 2)  # by others, meanwhile
    best = seen.version(f"{NAME}@3")
    asked: dict[str, Any] = {"dataset": DATASET, "metric": "map50", "instead_of": 1}
    for registry in (seen, Registry.open(tracker)):  # known of, or found out when it is written
        with pytest.raises(UserError, match=r"champion points at version 2 by now .*nothing was promoted"):
            promote(tracker, registry, best, **asked)
    assert Registry.open(tracker).version(f"{NAME}@champion").version == 2
    with pytest.raises(UserError, match="points at no version by now"):
        promote(tracker, seen, best, **asked, alias="spare")
    told = promote(tracker, Registry.open(tracker), best, **{**asked, "instead_of": 2})
    assert (told["previous"], told["forced"]) == (2, False)


@pytest.mark.parametrize("alias", ["latest", "v3", "7", "a b", "", "x" * 300])
def test_aliases_that_mlflow_keeps_for_itself_are_refused(three: Tracker, alias: str) -> None:
    registry = Registry.open(three)
    with pytest.raises(UserError, match="can't be an alias"):
        promote(three, registry, registry.version(NAME), dataset=DATASET, metric="map50", alias=alias)


def test_promotions_at_once_leave_the_best_as_holder(tracker: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(tracker, tmp_path / "weights")
    values = [0.25, 0.5, 0.75, 0.875]
    for number, value in enumerate(values, start=1):
        registered(run, digests, f"f{number}", evaluation=judged(value))
    registry = Registry.open(tracker)  # as all of them see it: nobody holds the alias
    refusals: list[str] = []
    for alias in [f"line-{number}" for number in range(6)]:
        ready = threading.Barrier(len(values))

        def promoted(number: int, alias: str = alias, ready: threading.Barrier = ready) -> bool:
            ready.wait(30)
            version = registry.version(f"{NAME}@{number}")
            try:
                promote(tracker, registry, version, dataset=DATASET, metric="map50", alias=alias)
            except UserError as error:
                refusals.append(str(error))
                return False
            return True

        with ThreadPoolExecutor(len(values)) as pool:
            outcomes = list(pool.map(promoted, range(1, 5)))
        assert outcomes[-1]
        assert all("is better" in each for each in refusals)
        now = Registry.open(tracker)
        assert now.version(f"{NAME}@{alias}").version == 4
        told = json.loads(now.version(f"{NAME}@4").tags[f"promoted.{alias}"])
        assert told["previous"] in (None, 1, 2, 3)


def test_a_holder_without_the_figure_is_not_passed_over_in_silence(tracker: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(tracker, tmp_path / "weights")
    registered(run, digests, "a", evaluation=judged(math.nan), alias="champion")
    registered(run, digests, "b", evaluation=judged(0.5))
    with pytest.raises(UserError, match="@1, which holds the alias, has no map50 on line; --force"):
        champion(tracker, 2)
    with pytest.raises(UserError, match="has no map50 on line; evaluate it again"):
        champion(tracker, 1)
