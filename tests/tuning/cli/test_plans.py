"""Plans in words: what runs, what is lacking, how many trainings, about how long, on one screen."""

from pathlib import Path
from typing import Any

import pytest

from cluster.stages.stage import RECORD
from cluster.storage.storage import Storage
from training.project import Project
from tuning.cli.study_commands import render_plan as render_study_plan
from tuning.cli.transfer_commands import render_plan as render_transfer_plan
from tuning.images_of import finetuning_images, pretraining_images
from tuning.studies.plan import plan_cells
from tuning.studies.plan_cost import planned
from tuning.studies.study import load_study
from tuning.transfer.projects import finished_seconds
from tuning.transfer.section import transfer_preset, transfer_section


def test_a_cell_names_its_settings_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    study = load_study("table5")
    cells = plan_cells(study, "full", {}, {}, seeds=(0, 1), only=["last two"])
    cells += plan_cells(study, "cpu", {}, {}, seeds=(0, 1), only=["last two"])
    documents = [cell.document(study) for cell in cells]
    counts = {"backbone": 2, "detector": 0, "finetune": 2}
    cost = {"trainings": counts, "timed": 4, "seconds": 300}
    render_study_plan({"title": study.title, "cells": documents, **cost})
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


def test_images_are_counted_as_the_splits_take_them() -> None:
    words: dict[str, Any] = {
        "generate": {"images_per_category": 40, "categories": ["rail", "casting"]},
        "corpus": {"test_share": 0.25},
        "finetune": {"validation_share": 0.1},
    }
    project = Project.model_validate(words)
    assert (pretraining_images(project), finetuning_images(project)) == (60, 54)
    words["finetune"] |= {"limit": 8, "background_share": 0.2}
    assert finetuning_images(Project.model_validate(words)) == 9


@pytest.mark.parametrize("preset", ["cpu", "full"])
@pytest.mark.parametrize("folders", [1, 30])
def test_the_plan_of_a_transfer_study_fits_a_screen(
    capsys: pytest.CaptureFixture[str], preset: str, folders: int
) -> None:
    section = transfer_section(transfer_preset(preset), {}).model_dump(mode="json")
    names = [f"data-set-{number}" for number in range(folders)]
    render_transfer_plan({"data": names, "trainings": 24, "transfer": section, "finished": [3600.0, 7200.0]})
    lines = capsys.readouterr().out.splitlines()
    assert sum(-(-max(1, len(line)) // 100) for line in lines) <= 40
    assert any("about 36.0 hours" in line for line in lines)
    render_transfer_plan({"data": names, "trainings": 24, "transfer": section, "finished": []})
    assert "time: not known before" in capsys.readouterr().out


def test_finished_trainings_tell_their_seconds(tmp_path: Path) -> None:
    assert finished_seconds(str(tmp_path)) == []
    folder = Storage.open(str(tmp_path)).at("transfer")
    folder.at("a").write_json(RECORD, {"results": {"training_seconds": 12.5}})
    folder.at("b").create()  # not complete
    assert finished_seconds(str(tmp_path)) == [12.5]
