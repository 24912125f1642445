"""Plans in words: what runs, what is lacking, how many trainings, about how long, on one screen."""

from pathlib import Path
from typing import Any

import pytest

from cluster.config import validate
from cluster.errors import UserError
from cluster.stages.stage import RECORD
from cluster.storage.storage import Storage
from training.project import Project
from tuning.cli.study_plans import render_plan as render_study_plan, told_cost
from tuning.cli.transfer_commands import render_plan as render_transfer_plan
from tuning.pace import Learnt
from tuning.studies.plan import plan_cells
from tuning.studies.plan_cost import PlannedTraining, cost, planned
from tuning.studies.study import load_study
from tuning.transfer.projects import DataSet, estimated_seconds, finished_seconds
from tuning.transfer.section import transfer_preset, transfer_section


def test_a_cell_names_its_settings_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    study = load_study("table5")
    cells = plan_cells(study, "full", {}, {}, seeds=(0, 1), only=["last two"])
    cells += plan_cells(study, "cpu", {}, {}, seeds=(0, 1), only=["last two"])
    documents = [cell.document(study) for cell in cells]
    counts = {"backbone": 2, "detector": 0, "finetune": 2}
    cost = {"trainings": counts, "timed": 4, "seconds": 300, "estimated": 0}
    render_study_plan({"title": study.title, "gpu": False, "cells": documents, **cost})
    shown = capsys.readouterr().out.replace("\n", " ")
    assert "lower stages frozen: no, stages distilled: last two | generated, seeds 0, 1: runs" in shown
    assert 'needs: give the images of "Casting Billet" in --data FILE' in shown
    assert "4 trainings: 2 × backbone, 2 × finetune" in shown
    assert "About 5 minutes" in shown


def test_a_pretraining_that_cells_share_is_counted_once() -> None:
    study = load_study("fig6-freeze")
    trainings = planned(plan_cells(study, "cpu", {}, {}, seeds=(0,), only=()))
    stages = [each.stage for each in trainings]
    # Five rows go on from the same AGBP, two from AGSSP with and without a frozen backbone.
    assert {stage: stages.count(stage) for stage in set(stages)} == {
        "finetune": 12,
        "backbone": 1,
        "detector": 2,
    }
    both = planned(plan_cells(study, "cpu", {}, {}, seeds=(0, 1), only=()))
    assert len(both) == 2 * len(trainings)


def test_every_round_is_counted_and_the_first_is_that_of_one() -> None:
    """The two rows from AGSSP differ in the backbone being frozen, so that they share no round."""
    study = load_study("fig6-freeze")
    counts = []
    for rounds in (1, 2):
        cells = plan_cells(study, "cpu", {"detector": {"rounds": rounds}}, {}, seeds=(0,), only=())
        counts.append([each.stage for each in planned(cells)].count("detector"))
    assert counts == [2, 4]


def test_every_round_of_a_finetuning_is_counted_by_its_images() -> None:
    study = load_study("fig6-freeze")
    epochs = []
    for rounds in (1, 2):
        cells = plan_cells(study, "cpu", {"finetune": {"rounds": rounds}}, {}, seeds=(0,), only=())
        epochs.append([each.epochs for each in planned(cells) if each.stage == "finetune"])
    once, twice = epochs
    assert len(twice) == 2 * len(once)
    assert sum(twice) == 4 * sum(once)  # a further round is three of the first


def test_time_is_that_of_finished_trainings_like_these(tmp_path: Path) -> None:
    workspace = Storage.open(str(tmp_path))
    done = {"config": {"name": "yolov8n"}, "results": {"training_seconds": 30.0, "epochs": 3}}
    workspace.at("finetune", "a").write_json(RECORD, done)
    slow = done | {"results": {"training_seconds": 60.0, "epochs": 3}}
    workspace.at("finetune", "b").write_json(RECORD, slow)
    workspace.at("finetune", "c").create()  # not complete
    trainings = [
        PlannedTraining("finetune", "yolov8n", 10),
        PlannedTraining("finetune", "yolov8n", 20),
        PlannedTraining("finetune", "yolov8s", 10),
        PlannedTraining("backbone", "yolov8n", 10),
    ]
    found = cost(trainings, str(tmp_path))
    assert found["trainings"] == {"backbone": 1, "detector": 0, "finetune": 3}
    assert (found["timed"], found["seconds"]) == (2, pytest.approx(30 * 15.0))
    told = " ".join(told_cost(found))
    assert "About 8 minutes for 2 of them" in told
    assert "Not known for 2 of them before a training of these models is finished" in told
    nothing = cost(trainings, str(tmp_path / "new"))
    assert "Time: not known before" in " ".join(told_cost(nothing))


def test_a_fresh_workspace_gets_an_estimate(tmp_path: Path) -> None:
    # 20 images a second of 128 × 128 px for YOLOv8n on one core; YOLOv8s is 28.8 / 8.9 as much work.
    trainings = [
        PlannedTraining("finetune", "yolov8n", 10, Learnt(20 * 600.0, 128**2)),
        PlannedTraining("detector", "yolov8n", 10, Learnt(20 * 600.0, 256**2)),
        PlannedTraining("finetune", "yolov8s", 10, Learnt(20 * 600.0, 128**2)),
        PlannedTraining("finetune", "faster-rcnn+resnet50", 10, Learnt(100.0, 128**2)),
    ]
    expected = 600 * (1 + 4 + 28.8 / 8.9) + 3 * 10  # and ten seconds of each beside its steps
    estimate = cost(trainings, str(tmp_path / "new"))
    assert (estimate["timed"], estimate["estimated"]) == (0, 3)
    assert estimate["estimated_seconds"] == pytest.approx(expected, abs=1)
    told = " ".join(told_cost(estimate))
    assert f"About {expected / 60:.0f} minutes for 3 of them on one quiet CPU core" in told
    assert "Not known for 1 of them" in told
    # A finished training of the same stage and model takes the estimate's place.
    done = {"config": {"name": "yolov8n"}, "results": {"training_seconds": 30.0, "epochs": 3}}
    Storage.open(str(tmp_path)).at("finetune", "a").write_json(RECORD, done)
    found = cost(trainings, str(tmp_path))
    assert (found["timed"], found["seconds"], found["estimated"]) == (1, 100.0, 2)


def test_the_plan_of_a_declared_study_is_estimated_from_its_images() -> None:
    study = load_study("fig6-epochs")
    trainings = planned(plan_cells(study, "cpu", {}, {}, seeds=(0,), only=()))
    for each in trainings:
        assert each.learnt is not None
        assert each.learnt.images >= each.epochs
        assert each.learnt.pixels >= 32**2


@pytest.mark.parametrize("preset", ["cpu", "full"])
@pytest.mark.parametrize("folders", [1, 30])
def test_the_plan_of_a_transfer_study_fits_a_screen(
    capsys: pytest.CaptureFixture[str], preset: str, folders: int
) -> None:
    section = transfer_section(transfer_preset(preset), {}).model_dump(mode="json")
    names, unknown = [f"data-set-{number}" for number in range(folders)], {"estimated_seconds": None}
    render_transfer_plan(
        {"data": names, "trainings": 24, "transfer": section, "finished": [3600.0, 7200.0], **unknown}
    )
    lines = capsys.readouterr().out.splitlines()
    assert sum(-(-max(1, len(line)) // 100) for line in lines) <= 40
    assert any("about 36.0 hours" in line for line in lines)
    render_transfer_plan({"data": names, "trainings": 24, "transfer": section, "finished": [], **unknown})
    assert "time: not known before" in capsys.readouterr().out
    estimated = {"finished": [], "estimated_seconds": 5400}
    render_transfer_plan({"data": names, "trainings": 24, "transfer": section, **estimated})
    assert "time: about 90 minutes on two quiet CPU cores" in capsys.readouterr().out.replace("\n", " ")


def test_the_plan_of_a_transfer_study_says_which_weights_are_lacking(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    there = tmp_path / "there.pt"
    there.write_bytes(b"unread")
    starts = {
        name: {"backbone": "resnet18", "weights": word}
        for name, word in {
            "a": "scratch",
            "b": "agbp",
            "c": "imagenet",
            "d": "none.pt",
            "e": str(there),
            "f": "line@champion",
        }.items()
    }
    section = transfer_section(transfer_preset("cpu"), {"starts": starts}).model_dump(mode="json")
    unknown: dict[str, Any] = {"finished": [], "estimated_seconds": None}
    render_transfer_plan({"data": ["tiles"], "trainings": 24, "transfer": section, **unknown})
    said = [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines() if "start " in line]
    assert said == [
        "runs",
        "runs, after a pretraining on each data set",
        "runs; downloaded unless there",
        "this file is not there",
        "runs",
        "runs",
    ]


def test_a_transfer_study_of_the_cpu_preset_is_estimated(tmp_path: Path) -> None:
    """As the README has it: an hour for 16 trainings of 24 epochs of 200 images."""
    for number in range(500):
        (tmp_path / "tiles/images").mkdir(parents=True, exist_ok=True)
        (tmp_path / "tiles/labels").mkdir(exist_ok=True)
        (tmp_path / f"tiles/images/{number}.png").write_bytes(b"unread")
        (tmp_path / f"tiles/labels/{number}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    preset = transfer_preset("cpu")
    section = transfer_section(preset, {})
    project = validate(Project, {"corpus": {"root": str(tmp_path / "tiles")}}, "Config")
    assert estimated_seconds(section, [DataSet("tiles", project)]) == pytest.approx(3600, rel=0.02)
    full = transfer_section(transfer_preset("full"), {})
    assert estimated_seconds(full, [DataSet("tiles", project)]) is None


def test_finished_trainings_tell_their_seconds(tmp_path: Path) -> None:
    assert finished_seconds(str(tmp_path)) == []
    folder = Storage.open(str(tmp_path)).at("transfer")
    folder.at("a").write_json(RECORD, {"config": {}, "results": {"training_seconds": 12.5}})
    folder.at("b").create()  # not complete
    assert finished_seconds(str(tmp_path)) == [12.5]


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"{}", b"\xff", b'{"config": {}, "results": {"training_seconds": "x"}}']
)
def test_a_damaged_record_is_one_sentence(tmp_path: Path, text: bytes) -> None:
    Storage.open(str(tmp_path)).at("transfer", "a").write(RECORD, text)
    with pytest.raises(UserError, match=r"stage\.json is damaged; delete"):
        finished_seconds(str(tmp_path))
