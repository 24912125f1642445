"""The full preset against Table 1 as the recipes have it, key by key, and what a plan says is lacking."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.config import merge, validate
from training.project import Project, read_project
from tuning.cli.study_plans import plan_lines
from tuning.studies.lacks import Lack
from tuning.studies.plan import Cell, plan_cells
from tuning.studies.study import load_study, shared_presets, studies

# The study's row of Table 1: its model in the preset, what its rows set beside it, and the recipe.
ROWS = [
    ("CSPDarknet", {}, "paper-yolov8s-cls"),
    ("ResNet50", {}, "paper-resnet50-cls"),
    ("ResNet50", {"backbone": {"pretext": "mocov3"}}, "paper-resnet50-mocov3"),
    ("Swin-Base", {}, "paper-swin-cls"),
    ("Swin-Base SimMIM", {}, "paper-swin-simmim"),
    ("baseline", {}, "paper-swin-simmim"),
]
STAGES = {"maps", "boxes", "backbone", "detector", "finetune"}


def leaves(document: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def settings(project: Project) -> dict[str, Any]:
    found = dict(leaves(project.model_dump(mode="json", include=STAGES)))
    found.pop("finetune.starts")  # a row has one, a recipe those it compares
    return found


@pytest.mark.parametrize(("model", "row", "recipe"), ROWS)
def test_the_full_preset_is_the_papers_recipe_key_by_key(
    model: str, row: dict[str, Any], recipe: str
) -> None:
    preset = shared_presets()["full"]
    of_preset = validate(Project, merge(merge(preset["base"], preset["models"][model]), row), "Preset")
    ours, theirs = settings(of_preset), settings(read_project([f"recipe:{recipe}"]))
    assert len(ours) > 100
    assert {key: value for key, value in ours.items() if theirs[key] != value} == {}


def of_paper(name: str, words: Mapping[str, Any] | None = None) -> list[Cell]:
    """A study's full cells with images that are never looked at."""
    study = load_study(name)
    data = {each: {"corpus": {"root": "photos"}} for each in study.presets["full"].datasets}
    return plan_cells(study, "full", words or {}, data, seeds=(0,), only=(), check=lambda project: None)


@pytest.mark.parametrize("name", ["table2", "table3", "table5", "table6", "fig6-freeze", "fig6-loss"])
def test_a_pretrained_row_has_the_settings_of_its_recipe(name: str) -> None:
    recipes = [read_project([f"recipe:{recipe}"]) for _, _, recipe in ROWS]
    by_key = {(each.backbone.name, each.backbone.pretext): each for each in recipes}
    loops = ("epochs", "batch_size", "optimizer", "lr", "weight_decay", "clip_norm")
    checked = 0
    for cell in of_paper(name):
        project = cell.target
        if project is None or project.finetune.starts[0] not in ("agbp", "agssp"):
            continue
        recipe = by_key[project.backbone.name, project.backbone.pretext]
        assert project.backbone.image_size == recipe.backbone.image_size
        for stage in ("backbone", "detector", "finetune"):
            ours, theirs = getattr(project, stage).loop, getattr(recipe, stage).loop
            assert [getattr(ours, key) for key in loops] == [getattr(theirs, key) for key in loops]
        checked += 1
    assert checked >= 2


def test_other_detectors_have_their_own_literatures_rates() -> None:
    study = load_study("table6")
    by_name = {study.rows[cell.row].names[0]: cell.target for cell in of_paper("table6")}
    yolo, detr = by_name["YOLOv12s"], by_name["RT-DETR"]
    assert yolo is not None
    assert yolo.finetune.loop.optimizer == "sgd"
    assert yolo.finetune.loop.lr / 32 == pytest.approx(0.0025)
    assert detr is not None
    assert (detr.finetune.loop.optimizer, detr.finetune.loop.lr) == ("adamw", 1e-4)
    assert detr.finetune.loop.clip_norm == 0.1
    dino = next(
        cell.target
        for cell in of_paper("fig6-detectors")
        if "DINO" in load_study("fig6-detectors").rows[cell.row].names
    )
    assert dino is not None
    assert (dino.finetune.loop.lr, dino.finetune.loop.clip_norm) == (1e-4, 0.1)
    assert dino.finetune.loop.milestones[0] / dino.finetune.loop.epochs == pytest.approx(11 / 12, abs=0.001)


def test_with_images_only_published_weights_are_lacking() -> None:
    """No row waits for a model that is not built, or for a preset that fits together with nothing."""
    lacks = {name: {lack for cell in of_paper(name) for lack in cell.lacks} for name in studies()}
    assert {lack.kind for each in lacks.values() for lack in each} == {"weights"}
    assert lacks["table2"] == {
        Lack("weights", "give finetune.weights.imagenet_mocov3=FILE"),
        Lack("weights", "give finetune.weights.imagenet_simmim=FILE"),
    }
    assert not lacks["table5"]


def test_a_plan_groups_cells_by_all_that_they_lack(tmp_path: Path) -> None:
    study = load_study("table3")
    given = {"backbone": {"start": str(tmp_path / "none.pt")}}
    data = {"FD-Dataset": {"corpus": {"root": "photos"}}}
    cells = plan_cells(study, "full", given, data, seeds=(0, 1), only=(), check=lambda project: None)
    documents = [cell.document(study) for cell in cells]
    counts: dict[str, Any] = {"trainings": {"backbone": 0, "detector": 0, "finetune": 0}}
    lines = plan_lines({"title": study.title, "gpu": False, "cells": documents, **counts})
    images = lines.index('  needs: give the images of "Casting Billet-Mini50" in --data FILE')
    assert lines[images + 1] == "    all 7 rows | Casting Billet-Mini50, seeds 0, 1"
    weights = lines.index("  needs: give finetune.weights.imagenet_simmim=FILE")
    assert lines[weights + 1 : weights + 3] == [
        "    backbone: Swin-Base, pretraining: SimMIM | Casting Billet-Mini50, seeds 0, 1",
        "    backbone: Swin-Base, pretraining: SimMIM | FD-Dataset, seeds 0, 1",
    ]
    # Three rows are pretrained here, on either data set: 12 cells beside the 4 without SimMIM.
    missing = f"  needs: {tmp_path / 'none.pt'} of backbone.start is not there"
    assert lines.count(missing) == 1
    named = lines[lines.index(missing) + 1 : lines.index(missing) + 7]
    assert all("pretraining: AGSSP | " in line and line.endswith(", seeds 0, 1") for line in named)
    assert "Lacking weights: 16 cells" in lines
    assert any(line.startswith("For a GPU (there is none here): 28 cells, with steps of ") for line in lines)
    assert any("coco weights of yolov8s" in line and "ViT-H-14" in line for line in lines)
    assert lines[0].endswith(": 6 of 28 cells can be run")


def test_a_small_step_is_for_any_machine() -> None:
    cells = plan_cells(load_study("table5"), "cpu", {}, {}, seeds=None, only=())
    assert {cell.large_step for cell in cells} == {None}
    assert {cell.downloads for cell in cells} == {()}
    # 14 × 640² for the finetuning, 512 × 192² = 18.9 million pixels for the backbone.
    assert {cell.large_step for cell in of_paper("table5")} == {
        "512 images of 192 × 192 px by swin_base_patch4_window7_224"
    }
