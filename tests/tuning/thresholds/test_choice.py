"""What `tune thresholds` chooses, from stored maps to its report, without a workspace."""

import json

import pytest

from benchmarks.threshold_trials import CATEGORIES, write_artifacts
from cluster.errors import UserError
from cluster.storage.storage import Storage
from training.project import Project
from tuning.space import Dimension
from tuning.studies.fig7_stage import fig7_project
from tuning.thresholds.choice import StoredMaps, ThresholdSearch, choose
from tuning.thresholds.stage import check_request

SPACE = (Dimension("boxes.c", (0.0, 0.1, 0.3)), Dimension("boxes.top_k", (1, 5)))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredMaps:
    folder = tmp_path_factory.mktemp("artifacts")
    corpus, maps = (Storage.open(str(folder / name)) for name in ("corpus", "maps"))
    write_artifacts(corpus, maps, 30, side=64, seed=3)
    return StoredMaps.read(corpus, maps)


def test_the_best_of_a_grid_is_reported_beside_the_projects_own(stored: StoredMaps) -> None:
    chosen = choose(Project(), ThresholdSearch(SPACE, None, trials=1, exhaustive=True), stored)
    report = chosen.report
    assert len(chosen.trials) == report["trials"] == 6
    assert report["best"]["mask_iou"] == max(trial.value for trial in chosen.trials)
    assert report["chosen"] == chosen.best.values
    assert (report["truth"], report["metric"]) == ("masks", "mask_iou")
    assert (report["images"], report["categories"]) == (stored.images, CATEGORIES)
    assert set(report["held_out"]) == {"project", "best"}
    assert set(chosen.curves) == {"fig7", "sensitivity"}
    assert chosen.picture.startswith(b"\x89PNG")
    json.dumps([report, chosen.curves])


def test_fusion_is_not_searched_where_maps_are_stored_without_parts(stored: StoredMaps) -> None:
    space = (Dimension("maps.kead.few_weight", (0.0, 1.0)),)
    with pytest.raises(UserError, match=r"don't hold .* set maps\.store_parts=true"):
        choose(Project(), ThresholdSearch(space, None, trials=1, exhaustive=True), stored)


@pytest.mark.parametrize("rule", ["standardised", "hysteresis"])
def test_a_rule_without_thresholds_is_refused(stored: StoredMaps, rule: str) -> None:
    project = Project.model_validate({"boxes": {"rule": rule}})
    told = f"here boxes.rule={rule}, which has none: give boxes.rule=paper"
    with pytest.raises(UserError, match=told):
        check_request(project, (), None)
    with pytest.raises(UserError, match=told):
        choose(project, ThresholdSearch(SPACE, None, trials=1, exhaustive=True), stored)
    with pytest.raises(UserError, match=told):
        fig7_project({"boxes": {"rule": rule}}, "cpu")


@pytest.mark.parametrize("key", ["boxes.rule", "boxes.standardised.cut"])
def test_settings_of_other_rules_are_not_searched(key: str) -> None:
    space = (Dimension(key, ("paper",) if key == "boxes.rule" else (1.0, 2.0)),)
    with pytest.raises(UserError, match=f"can't search {key}"):
        check_request(Project(), space, None)


def test_a_search_that_gains_nothing_says_so(stored: StoredMaps) -> None:
    """The only trial is the project's own value."""
    space = (Dimension("boxes.c", (Project().boxes.c,)),)
    report = choose(Project(), ThresholdSearch(space, None, trials=1, exhaustive=True), stored).report
    assert report["worth_taking"] is False
    assert [verdict["kind"] for verdict in report["verdicts"]] == ["no_better"]
