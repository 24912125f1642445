"""The ledger of a search: what is proposed, what an interruption leaves, budgets and shares."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from mlflow import MlflowClient

from cluster.errors import UserError
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from training.loop.scaling import worker_resources
from training.loop.section import ScalingSection
from training.project import Project
from tuning.search import cost
from tuning.search.cost import Cost, estimate
from tuning.search.ledger import Budget, Ledger, Proposals, TrialRecord, alike_sentence, best_of
from tuning.search.request import check_search
from tuning.search.search import _end_interrupted, _parent
from tuning.search.tuner import TRIAL_CPU, LedgerCallback, share_of
from tuning.space import parse_space

SPACE = parse_space(["finetune.loop.lr=1e-4..1e-1:log", "finetune.freeze=[none, backbone]"])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Storage.open(str(tmp_path / "search")))


def finish(record: TrialRecord, value: float) -> TrialRecord:
    return replace(record, status="finished", value=value, seconds=36.0)


def run_through(ledger: Ledger, proposals: Proposals, kill_after: int) -> list[int]:
    """Two trials at a time, as the tuner does; stop dead after so many, leaving two running."""
    done: list[int] = []
    running: list[TrialRecord] = []
    while True:
        while len(running) < 2 and (record := proposals.next()) is not None:
            running.append(record)
        if not running or len(done) == kill_after:
            return done
        record = running.pop(0)
        ended = finish(record, -abs(float(record.values.get("finetune.loop.lr", 1)) - 0.01))
        ledger.write(ended)
        proposals.ended(ended)
        done.append(record.number)


@pytest.mark.parametrize("exhaustive", [False, True])
@pytest.mark.parametrize("kill_after", [0, 1, 3, 7])
def test_every_trial_is_run_once_however_the_search_is_killed(
    ledger: Ledger, kill_after: int, exhaustive: bool
) -> None:
    space = parse_space(["finetune.loop.lr=[0.001, 0.002, 0.01, 0.1]", "finetune.freeze=[none, backbone]"])
    first = run_through(ledger, Proposals(ledger, space, 8, 0, exhaustive), kill_after)
    before = {record.number: record for record in ledger.records() if record.over}
    assert sorted(before) == sorted(first)
    second = run_through(ledger, Proposals(ledger, space, 8, 0, exhaustive), 99)
    assert sorted(first + second) == list(range(8))
    records = ledger.records()
    assert {number: records[number] for number in before} == before
    # Optuna alone would propose some of a small space twice.
    combinations = itertools.product([0.001, 0.002, 0.01, 0.1], ["none", "backbone"])
    tried = sorted((r.values["finetune.loop.lr"], r.values["finetune.freeze"]) for r in records)
    assert tried == sorted(combinations)
    assert run_through(ledger, Proposals(ledger, space, 8, 0, exhaustive), 99) == []


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["finetune.loop.lr=[0.001, 0.003]"], 2),
        (["finetune.loop.epochs=1..3:log"], 3),
        (["finetune.loop.lr=1e-3..1e-3:log", "finetune.freeze=[none, backbone]"], 2),
        (["boxes.c=0..0.2:0.1", "finetune.loop.epochs=1..2"], 6),
    ],
)
def test_a_small_space_is_tried_whole_and_nothing_in_it_twice(
    ledger: Ledger, words: list[str], size: int
) -> None:
    space = parse_space(words)
    assert run_through(ledger, Proposals(ledger, space, 20, 0), 1) == [0]  # and one is left running
    proposals = Proposals(ledger, space, 20, 0)
    assert proposals.left == size - 1
    while (record := proposals.next()) is not None:
        ended = replace(record, status="finished", value=0.5)
        ledger.write(ended)
        proposals.ended(ended)
    assert len({str(record.values) for record in ledger.records()}) == len(ledger.records()) == size


def test_a_range_too_narrow_to_differ_is_tried_as_often_as_asked(ledger: Ledger) -> None:
    proposals = Proposals(ledger, parse_space(["finetune.loop.lr=0.123456789012..0.123456789013"]), 4, 0)
    assert len(list(iter(proposals.next, None))) == 4


def test_interrupted_trials_come_first_with_the_same_values(ledger: Ledger) -> None:
    proposals = Proposals(ledger, SPACE, 5, 0)
    one, two = proposals.next(), proposals.next()
    assert one is not None
    assert two is not None
    ledger.write(finish(one, 0.5))
    again = Proposals(ledger, SPACE, 5, 0)
    assert again.left == 4
    resumed = again.next()
    assert resumed is not None
    assert (resumed.number, resumed.values) == (two.number, two.values)


def test_what_is_known_guides_what_is_proposed(ledger: Ledger) -> None:
    for number in range(40):
        lr = 10 ** -(1 + number % 30 / 10)
        values = {"finetune.loop.lr": lr, "finetune.freeze": "none"}
        ledger.write(TrialRecord(number, values, "finished", -abs(lr - 0.01)))
    proposals = Proposals(ledger, SPACE, 80, 0)
    drawn = [proposals.next() for _ in range(30)]
    near = [r for r in drawn if r is not None and 0.003 < r.values["finetune.loop.lr"] < 0.03]
    assert len(near) > 15  # a third of the space's decades


def test_failed_trials_are_tried_again_and_invalid_ones_are_not(ledger: Ledger) -> None:
    for number, status in enumerate(["failed", "invalid", "stopped", "running", "finished"]):
        values = {"finetune.loop.lr": 0.01, "finetune.freeze": "none"}
        value = 0.9 if status in ("stopped", "finished") else None
        ledger.write(TrialRecord(number, values, status, value))  # type: ignore[arg-type]
    proposals = Proposals(ledger, SPACE, 5, 0)
    assert [r.number for r in iter(proposals.next, None) if r] == [0, 3]
    best = best_of(ledger.records())
    assert best is not None
    assert best.number == 4


@pytest.mark.parametrize("exhaustive", [False, True])
def test_a_trial_whose_file_was_deleted_is_run_again_and_no_other_is_lost(
    ledger: Ledger, exhaustive: bool
) -> None:
    space = parse_space(["finetune.loop.lr=[0.001, 0.002, 0.01, 0.1]", "finetune.freeze=[none]"])
    done = Proposals(ledger, space, 4, 0, exhaustive=exhaustive)
    while (record := done.next()) is not None:
        ledger.write(finish(record, 0.1 * (1 + record.number)))
    before = {record.number: record for record in ledger.records()}
    ledger.directory.at("trials").delete("00001.json")
    again = Proposals(ledger, space, 4, 0, exhaustive=exhaustive)
    assert again.left == 1
    proposed = [record for record in iter(again.next, None) if record is not None]
    assert [record.number for record in proposed] == [1]
    if exhaustive:
        assert proposed[0].values == before[1].values
    kept = [record for record in ledger.records() if record.number != 1]
    assert kept == [before[number] for number in (0, 2, 3)]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"number": 0, "values": {}, "status": "over"}',
        b'{"number": 0, "values": {}, "status": "finished", "value": "much"}',
        b'{"number": 0, "values": {}, "status": "finished", "value": NaN}',
        b'{"number": 0, "values": 3, "status": "finished", "value": 0.5}',
        b'{"number": 7, "values": {}, "status": "finished", "value": 0.5}',
        b'{"number": 0, "values": {}, "status": "finished", "value": 0.5}',
        b'{"number": 0, "values": {"finetune.loop.lr": 9, "finetune.freeze": "none"},'
        b' "status": "finished", "value": 0.5}',
    ],
)
def test_a_trial_whose_file_is_damaged_is_told(ledger: Ledger, content: bytes) -> None:
    ledger.directory.at("trials").create()
    ledger.directory.at("trials").write("00000.json", content)
    with pytest.raises(UserError, match=r"trials/00000\.json is damaged"):
        Proposals(ledger, SPACE, 5, 0)


def test_what_else_lies_among_the_trials_is_none(ledger: Ledger) -> None:
    ledger.write(TrialRecord(0, {"finetune.loop.lr": 0.01, "finetune.freeze": "none"}))
    for name in ("00000 (copy).json", "._00000.json", "notes.json", "00000.json~"):
        ledger.directory.at("trials").write(name, b"\x00")
    assert [record.number for record in ledger.records()] == [0]


def test_another_question_under_the_same_name_is_refused(ledger: Ledger) -> None:
    question = {"search space": ["a=[1]"], "metric": "finetune.map50"}
    ledger.begin(question)
    assert ledger.begin(question)["question"] == question
    with pytest.raises(
        UserError, match=r"begun with another search space \(\['a=\[1\]'\], now \['a=\[2\]'\]\)"
    ):
        ledger.begin({**question, "search space": ["a=[2]"]})
    with pytest.raises(UserError, match="begun with another metric"):
        ledger.begin({**question, "metric": "finetune.map50_95"})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"finetune": {"loop": {"epochs": 5}, "limit": None}},
            r"begun with another finetune\.loop\.epochs \(3, now 5\)",
        ),
        (
            {"finetune": {"loop": {"epochs": 3}, "limit": 9}},
            r"begun with another finetune\.limit \(None, now 9\)",
        ),
        ({"seed": 1}, r"begun with another seed \(0, now 1\)"),
        ({"corpus": {"root": "b"}}, r"begun with another corpus \(None, now {'root': 'b'}\)"),
    ],
)
def test_a_changed_setting_is_told_by_its_key(ledger: Ledger, changed: dict[str, Any], told: str) -> None:
    settings = {"seed": 0, "finetune": {"loop": {"epochs": 3}, "limit": None}}
    ledger.begin({"settings": settings})
    with pytest.raises(UserError, match=told):
        ledger.begin({"settings": {**settings, **changed}})


def test_where_every_trial_was_stopped_the_best_of_them_is_the_best(ledger: Ledger) -> None:
    stopped = [TrialRecord(n, {}, "stopped", value, epochs=3) for n, value in enumerate([0.2, 0.7, 0.7])]
    broken = [TrialRecord(3, {}, "failed"), TrialRecord(4, {}, "invalid", 0.9), TrialRecord(5, {}, "stopped")]
    best = best_of([*stopped, *broken])
    assert best is not None
    assert best.number == 1
    finished = best_of([*stopped, *broken, TrialRecord(6, {}, "finished", 0.1)])
    assert finished is not None
    assert finished.number == 6
    assert best_of(broken) is None


def test_trials_that_all_end_alike_are_told() -> None:
    def told(*values: float | None) -> str | None:
        return alike_sentence([TrialRecord(n, {}, "finished", value) for n, value in enumerate(values)])

    assert told(0.5, 0.4) is told(0.5) is told() is told(0.5, None) is None
    assert told(0.5, 0.5, None) == "All 2 trials end at 0.5000, so none of them is better."
    assert str(told(0.0, 0.0)).endswith("Nothing is found: train longer, or from another start.")


def test_budgets() -> None:
    records = [TrialRecord(n, {}, "finished", 1.0, seconds=1800.0) for n in range(3)]
    assert Budget().spent(1e9, records, 1) is None
    assert Budget(hours=1).spent(3599, records, 0) is None
    assert Budget(hours=1).spent(3600, records, 0) == "1 hours"
    assert Budget(gpu_hours=3.1).spent(0, records, 2) is None
    assert Budget(gpu_hours=3).spent(0, records, 2) == "3 GPU-hours"


@given(
    cpus=st.integers(1, 64),
    gpus=st.integers(0, 8),
    workers=st.integers(1, 4),
    trials=st.integers(1, 50),
    fraction=st.sampled_from([0.25, 0.5, 1.0]),
    asked=st.none() | st.integers(1, 8),
    each=st.none() | st.sampled_from([0.4, 1.0, 3.0]),
)
def test_all_concurrent_trials_fit_at_once(
    cpus: int, gpus: int, workers: int, trials: int, fraction: float, asked: int | None, each: float | None
) -> None:
    scaling = ScalingSection(workers=workers, gpus_per_worker=fraction, cpus_per_worker=each)
    try:
        share = share_of(scaling, cpus, gpus, asked=asked, trials=trials)
    except UserError:
        # Refused only where the asked for (or even one trial) can't fit.
        assert each is not None or asked is not None or workers > 9 * cpus or workers * fraction > gpus
        return
    assert 1 <= share.concurrent <= trials
    assert asked is None or share.concurrent <= asked
    per_worker = share.scaling.cpus_per_worker
    assert per_worker is not None
    assert share.concurrent * (workers * per_worker + TRIAL_CPU) <= cpus + 1e-6
    assert share.concurrent * share.gpus <= gpus + 1e-6
    if share.scaling.gpu:
        assert share.gpus == workers * fraction


def test_two_trials_share_two_cpus_and_a_fraction_of_a_gpu() -> None:
    share = share_of(ScalingSection(), 2, 0, asked=None, trials=9)
    assert (share.concurrent, share.scaling.cpus_per_worker, share.gpus) == (2, 0.9, 0.0)
    assert share.scaling.workers == 1  # `auto` in a trial's own process would hold what its data jobs need
    half = share_of(ScalingSection(gpus_per_worker=0.5), 8, 1, asked=4, trials=9)
    assert (half.concurrent, half.gpus) == (2, 0.5)
    assert worker_resources(half.scaling, [{"CPU": 8.0, "GPU": 1.0}])["GPU"] == 0.5
    assert share.process == half.process == {"cpu": TRIAL_CPU}
    alone = share_of(ScalingSection(workers=0), 2, 0, asked=None, trials=9)
    assert (alone.concurrent, alone.process) == (2, {"cpu": 0.9, "gpu": 0.0})
    with pytest.raises(UserError, match="don't fit on 1 CPUs"):
        share_of(ScalingSection(workers=16), 1, 0, asked=None, trials=2)


CHECKS: list[tuple[str, list[str], str | None, str]] = [
    ("finetune", ["finetune.loop.lrr=[1]"], None, "unknown key"),
    ("finetune", ["finetune.loop.lr=[]"], None, "is empty"),
    ("finetune", ["finetune.loop.lr=0.1..0.01"], None, "is empty"),
    ("finetune", [], "finetune.map51", 'metric "finetune.map51"; did you mean "finetune.map50"'),
    ("finetune", [], "evaluate.map50", "measured on the test split"),
    ("finetune", [], "backbone.correlation", "No stage here produces"),
    ("pretrain", ["finetune.loop.lr=[0.1, 0.2]"], None, "can't change backbone.correlation"),
    ("pretrain", ["workspace=[a, b]"], None, "decides no result"),
]


@pytest.mark.parametrize(("command", "words", "metric", "told"), CHECKS)
def test_bad_searches_are_told(command: str, words: list[str], metric: str | None, told: str) -> None:
    stage = "backbone" if command == "pretrain" else "finetune"
    with pytest.raises(UserError, match=told):
        check_search(stage, Project(), {}, words, metric, None)


def test_start_is_that_asked_for_or_the_methods() -> None:
    fixed, space, metric = check_search("finetune", Project(), {"seed": 3}, [], None, None)
    assert fixed == {"seed": 3, "finetune": {"starts": ["agssp"]}}
    assert metric == "finetune.map50_95"
    assert [d.key for d in space] == ["finetune.loop.lr", "finetune.freeze"]
    assert check_search("finetune", Project(), {}, [], None, "scratch")[0]["finetune"]["starts"] == [
        "scratch"
    ]


def test_estimates_multiply_a_timed_step(monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.model_validate({"finetune": {"image_size": 64}, "backbone": {"image_size": 64}})
    assert 0 < cost.step_seconds(project, "backbone") < 10
    assert 0 < cost.step_seconds(project, "finetune") < 10
    monkeypatch.setattr(cost, "step_seconds", lambda *_: 0.01)

    def of(stage: str, epochs: str, images: int, gpus: float = 0.0) -> Cost:
        space = parse_space([f"{stage}.loop.epochs={epochs}"])
        return estimate(project, stage, space, images=images, trials=4, concurrent=2, gpus=gpus)

    for stage in ("backbone", "finetune"):
        # 200 epochs of 100 images at 0.01 s; two at a time share the CPUs, or have a GPU each.
        assert of(stage, "[100, 300]", 100).trial_seconds == pytest.approx(400 + cost.START_SECONDS)
        assert of(stage, "100..300", 100, 1.0).trial_seconds == pytest.approx(200 + cost.START_SECONDS)
    text = of("finetune", "[2, 4]", 100).text()
    assert "4 trials" in text
    assert "2 at a time" in text
    assert Cost(10, 360.0, 2, 0.5).hours == pytest.approx(0.5)
    assert Cost(10, 360.0, 2, 0.5).gpu_hours == pytest.approx(0.5)


class Bystander:
    """What Tune's callbacks get of a trial."""

    def __init__(self, number: int, last_result: dict[str, float], error: str = "") -> None:
        self.config, self.last_result, self.error = {"number": number}, last_result, error

    def get_error(self) -> str:
        return self.error


def test_a_stopped_trial_keeps_its_last_value_and_a_failed_one_its_reason(
    ledger: Ledger, tmp_path: Path, tracked: Callable[[Path], Path]
) -> None:
    workspace = Storage.open(str(tracked(tmp_path)))
    tracker = Tracker.open(TrackingSection(), workspace)
    proposals = Proposals(ledger, SPACE, 3, 0)
    runs = []
    for _ in range(3):
        record = proposals.next()
        assert record is not None
        runs.append(tracker.create_run(f"trial {record.number}", {}))
        tracker.create_run("finetune", {"mlflow.parentRunId": runs[-1].id})  # its process was killed
        ledger.write(replace(record, run_id=runs[-1].id))
    over: list[TrialRecord] = []
    callback = LedgerCallback(ledger, proposals, tracker.uri, over.append)
    stopped: Any = Bystander(0, {"objective": 0.3, "epoch": 7, "time_total_s": 12.0})
    failed: Any = Bystander(1, {}, "Traceback\nOSError: the disk went away")
    ledger.write(finish(ledger.read(2), 0.7))
    callback.on_trial_complete(0, [], stopped)
    callback.on_trial_error(0, [], failed)
    callback.on_trial_complete(0, [], Bystander(2, {"objective": 0.1}))  # type: ignore[arg-type]
    assert [(r.number, r.status, r.value, r.epochs, r.reason) for r in over] == [
        (0, "stopped", 0.3, 7, None),
        (1, "failed", None, 0, "OSError: the disk went away"),
        (2, "finished", 0.7, 0, None),
    ]
    assert ledger.records() == over
    client = MlflowClient(tracker.uri)
    states = {run.id: client.get_run(run.id).info.status for run in runs}
    assert list(states.values()) == ["KILLED", "FAILED", "RUNNING"]  # the third ends its run itself
    experiment = client.get_run(runs[0].id).info.experiment_id
    below = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{runs[0].id}'")
    assert [run.info.status for run in below] == ["KILLED"]


def test_an_estimate_counts_every_round_of_a_finetuning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A further round is three of the first: each labelled image, and two of the others for it."""
    monkeypatch.setattr(cost, "step_seconds", lambda *_: 0.01)

    def seconds(rounds: int, *words: str) -> float:
        project = Project.model_validate({"finetune": {"rounds": rounds, "loop": {"epochs": 100}}})
        space = parse_space(words or ["finetune.loop.lr=[1e-3, 1e-2]"])
        made = estimate(project, "finetune", space, images=10, trials=1, concurrent=1, gpus=0.0)
        return made.trial_seconds - cost.START_SECONDS

    assert seconds(1) == pytest.approx(10)
    assert seconds(2) == pytest.approx(40)
    assert seconds(3) == pytest.approx(70)
    assert seconds(1, "finetune.rounds=[1, 2]") == pytest.approx(25)


def test_a_search_goes_on_where_tracking_has_lost_its_runs_or_is_another(
    ledger: Ledger, tmp_path: Path, tracked: Callable[[Path], Path]
) -> None:
    ledger.begin({"metric": "finetune.map50"})
    places = [Storage.open(str(tracked(tmp_path / name))) for name in ("one", "two")]
    trackers = [Tracker.open(TrackingSection(), place) for place in places]
    study: dict[str, Any] = {}
    first = _parent(study, ledger, trackers[0], "search", {})
    assert _parent(study, ledger, trackers[0], "search", {}) == first
    trial = trackers[0].create_run("trial 0", {"mlflow.parentRunId": first.id})
    ledger.write(TrialRecord(0, {"finetune.freeze": "none"}, run_id=trial.id))
    _end_interrupted(ledger, trackers[1])  # knows nothing of it
    second = _parent(study, ledger, trackers[1], "search", {})
    assert second.tracking_uri == trackers[1].uri
    assert second.is_there()
    assert study["run_id"] == second.id
    MlflowClient(trackers[0].uri).delete_run(trial.id)
    assert not trial.is_there()
    _end_interrupted(ledger, trackers[0])
    assert first.is_there()
