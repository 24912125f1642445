"""The gain study's config, plan and run: tiny data sets; one real run of everything."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from agssp import app
from cluster.errors import UserError
from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from training.pipeline import Pipeline
from training.project import Project
from tuning.gain.plan import work_of
from tuning.gain.projects import GainSet, gain_sets
from tuning.gain.section import Arm, GainSection, gain_preset, gain_section
from tuning.gain.study import Measured, run_gain

QUICK = gain_preset("quick")
NO_REFERENCES = {"maps": {"kead": {"shots": 0}}}


def tree(root: Path, count: int) -> Path:
    """A `masks` data set: dark tiles, all but every third with a bright square."""
    random = np.random.default_rng(0)
    for number in range(count):
        kind = "good" if number % 3 == 0 else "spot"
        folder = root / "tile" / kind
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(40, 90, (64, 64), np.uint8)
        mask = np.zeros((64, 64), np.uint8)
        x, y = random.integers(2, 40, 2)
        mask[y : y + 16, x : x + 16] = 255
        if kind == "spot":
            pixels[mask > 0] += 120
            Image.fromarray(mask).save(folder / f"{number}_mask.png")
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def sets_of(folder: Path, section: GainSection, **words: Any) -> list[GainSet]:
    return gain_sets(QUICK, [str(folder)], {**NO_REFERENCES, **words}, section)


@pytest.mark.parametrize("name", ["quick", "thorough", "full"])
def test_presets_are_whole(name: str, tmp_path: Path) -> None:
    preset = gain_preset(name)
    section = gain_section(preset, {})
    (data,) = gain_sets(preset, [str(tree(tmp_path, 6))], NO_REFERENCES, section)
    assert data.not_run == {}
    for arm in section.arms:
        project = data.cell(section, arm, 1)
        assert project.seeded().finetune.loop.seed == 1
        assert not project.detector.freeze_backbone


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"sources": ["paint"]}, "painted"),
        ({"sources": ["maps", "maps"]}, "sources must all be different"),
        ({"seeds": [1, 1]}, "seeds must all be different"),
        ({"seeds": list(range(17))}, "at most 16"),
        ({"limits": [0]}, "must be 1 or more"),
        ({"rounds": [1, 1]}, "rounds must all be different"),
        ({"rounds": [6]}, "must be 5 or less"),
        ({"finetune_rounds": [2]}, "finetune_rounds must have 1"),
        ({"starts": {"x": "agssp"}}, "what the study makes"),
        ({"epoch": [3]}, "epochs"),
    ],
)
def test_wrong_settings_are_told(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        gain_section(QUICK, words)


def test_wrong_data_are_told(tmp_path: Path) -> None:
    section = gain_section(QUICK, {})
    with pytest.raises(UserError, match="one or more folders"):
        gain_sets(QUICK, [], {}, section)
    with pytest.raises(UserError, match="does not exist"):
        gain_sets(QUICK, [str(tmp_path / "nothing")], {}, section)
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="has no labels"):
        gain_sets(QUICK, [str(tmp_path)], {}, section)
    with pytest.raises(UserError, match="named twice"):
        gain_sets(QUICK, [str(tmp_path)] * 2, {}, section)
    with pytest.raises(UserError, match="Name the images once"):
        gain_sets(QUICK, [str(tmp_path)], {"generate": {}}, section)
    with pytest.raises(UserError, match='no preset "quik"; did you mean "quick"'):
        gain_preset("quik")


def test_arms_become_projects(tmp_path: Path) -> None:
    starts = {"none": "scratch", "mine": str(tmp_path / "w.safetensors"), "coco": "coco"}
    section = gain_section(QUICK, {"starts": starts, "sources": ["maps", "painted"]})
    (data,) = sets_of(tree(tmp_path / "tiles", 6), section)

    def cell(start: str, source: Any) -> Project:
        return data.cell(section, Arm(50, 32, start, source), 2)

    assert cell("none", None).finetune.starts == ("scratch",)
    assert cell("mine", None).finetune.given == {"weights": starts["mine"]}
    assert cell("coco", None).finetune.given == {"coco": "coco"}
    for start, word in starts.items():
        painted = cell(start, "painted")
        assert (painted.finetune.starts, painted.detector.begins_with) == (("agssp",), word)
        assert painted.paint.seed == 0  # the study's first: painted once
        assert painted.seeded().detector.loop.seed == 2
    # From random weights the maps teach the backbone first, as in the method.
    assert (cell("none", "maps").backbone.start, cell("none", "maps").detector.begins_with) == (
        "scratch",
        "agbp",
    )
    assert cell("coco", "maps").detector.begins_with == "coco"


def test_pseudo_boxes_are_hidden_beside_painted_defects_alone(tmp_path: Path) -> None:
    section = gain_section(QUICK, {})
    hiding = {"boxes": "painted", "ignore": "maps"}
    (data,) = sets_of(tree(tmp_path / "tiles", 6), section, detector=hiding)
    hidden = {arm.source: data.cell(section, arm, 0).detector.ignore for arm in section.arms if arm.source}
    assert hidden == {"painted": "maps", "maps": "nothing", "labels": "nothing"}


def test_a_source_that_can_not_be_is_left_out_with_its_reason(tmp_path: Path) -> None:
    section = gain_section(QUICK, {})
    (data,) = gain_sets(QUICK, [str(tree(tmp_path, 3))], {}, section)  # one normal image, and four wanted
    assert list(data.not_run) == ["maps"]
    assert "maps.kead.shots=4 needs 4" in data.not_run["maps"]
    work = work_of(section, data)
    assert (work.detectors, work.finetunings) == (6, 9)


def test_work_is_counted(tmp_path: Path) -> None:
    """30 images, a third of them normal; a half is held out."""
    folder = tree(tmp_path, 30)
    section = gain_section(QUICK, {"starts": {"s": "scratch"}, "seeds": [4, 5], "limits": [4, None]})
    (data,) = sets_of(folder, section)
    assert (data.images, data.labelled, data.annotated) == (30, 30, 20)
    work = work_of(section, data)
    assert (work.backbones, work.detectors, work.finetunings) == (2, 6, 16)
    # One backbone and three detectors, 8 epochs each; four arms of 4 or 10 with boxes, a fifth background.
    assert work.images == 2 * (8 * 15 + 3 * 8 * 15 + 4 * 32 * (5 + 12.5))
    assert work.minutes is not None


def test_rounds_are_rows_of_their_own_and_true_boxes_have_one(tmp_path: Path) -> None:
    section = gain_section(QUICK, {"rounds": [1, 2], "sources": ["painted", "labels"], "seeds": [3]})
    assert [(arm.source, arm.rounds) for arm in section.arms] == [
        (None, 1), ("painted", 1), ("painted", 2), ("labels", 1),
    ]  # fmt: skip
    (data,) = sets_of(tree(tmp_path / "tiles", 30), section)
    cells = [data.cell(section, arm, 3).detector for arm in section.arms if arm.source]
    assert [(cell.boxes, cell.rounds) for cell in cells] == [("painted", 1), ("painted", 2), ("labels", 1)]
    work = work_of(section, data)  # painted once and twice are two detectors, as the first round is shared
    assert (work.detectors, work.finetunings) == (3, 4)
    # One round of painted defects needs no reference; the maps that correct it do.
    folder = tree(tmp_path / "few", 3)
    (few,) = gain_sets(QUICK, [str(folder)], {}, section)
    assert list(few.not_run) == ["painted, 2 rounds"]


def test_every_start_is_self_trained_beside_the_start_as_it_is(tmp_path: Path) -> None:
    words = {"finetune_rounds": [1, 2], "sources": ["painted", "labels"], "seeds": [3]}
    section = gain_section(QUICK, words)
    assert [(arm.source, arm.finetune_rounds, arm.paired) for arm in section.arms] == [
        (None, 1, False), (None, 2, True), ("painted", 1, True), ("painted", 2, True), ("labels", 1, True),
    ]  # fmt: skip
    assert {arm.alone for arm in section.arms} == {section.arms[0]}
    (data,) = sets_of(tree(tmp_path / "tiles", 30), section)
    cells = [data.cell(section, arm, 3).finetune for arm in section.arms]
    assert [cell.rounds for cell in cells] == [1, 2, 1, 2, 1]
    assert len({str(cell.deciding) for cell in cells}) == 1  # the first round is shared
    once, twice = (
        work_of(gain_section(QUICK, words | {"finetune_rounds": rounds}), data) for rounds in ([1], [1, 2])
    )
    assert (once.detectors, once.finetunings) == (twice.detectors, twice.finetunings - 2) == (2, 3)
    assert once.images is not None
    assert twice.images is not None
    assert twice.images > once.images


def test_a_study_without_further_rounds_keeps_its_table() -> None:
    assert not {"rounds", "finetune_rounds"} & set(gain_section(QUICK, {}).deciding)
    assert gain_section(QUICK, {"rounds": [2]}).deciding["rounds"] == [2]


class Stages:
    """A stand-in for hours of training: the gain of a source is known, and every project is kept."""

    GAIN: Mapping[str, float] = {"painted": 0.05, "maps": 0.01, "labels": 0.10}

    def __init__(self, *, fails: str = "") -> None:
        self.projects: list[Project] = []
        self.fails = fails

    def __call__(self, project: Project, site: Site) -> Measured:
        self.projects.append(project)
        pretrained = project.finetune.starts == ("agssp",)
        if self.fails == "start" and not pretrained:
            raise UserError("yolov8n.pt can't be downloaded.")
        if pretrained and project.detector.boxes == self.fails:
            raise UserError("The boxes stage found no pseudo-box in any image.")
        figure = 0.2 + project.seed / 100 + (self.GAIN[project.detector.boxes] if pretrained else 0)
        figure += (project.seed % 2) / 1000 if pretrained else 0  # seeds all alike have no interval
        results = {"map50": figure, "map50_95": figure / 2, "boxes": 40}
        artifact = Artifact("evaluate", "e" * 16, site.workspace, {"results": results}, reused=False)
        # Labels of their own: the corpus is not looked at.
        data = project.model_copy(update={"finetune": project.finetune.model_copy(update={"data": object()})})
        return Measured(artifact, 50, Pipeline(data, site))


def test_a_run_writes_table_cells_and_picture(tmp_path: Path) -> None:
    section = gain_section(QUICK, {})
    sets = sets_of(tree(tmp_path / "tiles", 9), section, workspace=str(tmp_path / "w"))
    stages = Stages(fails="maps")
    result = run_gain("quick", QUICK.summary, section, sets, stages)
    table = result.table
    assert [line[3] for line in table["lines"]][1] == "coco + painted defects"
    assert [line[6] for line in table["lines"]] == ["–", "+5.0", "–", "+10.0"]
    assert [verdict["kind"] for verdict in table["verdicts"]] == ["gain"]
    assert any(
        "Not run: coco + pseudo-boxes of the maps on tiles: The boxes" in note for note in table["notes"]
    )
    # Seeds are outermost, so that a study that is killed has whole pairs; what failed is not tried again.
    assert [project.seed for project in stages.projects] == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    folder = Path(Storage.open(result.directory.uri).path)
    with (folder / "cells.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 9
    assert json.loads((folder / "table.json").read_text()) == table
    assert (folder / "gains.svg").read_text().startswith("<?xml")
    assert table["verdicts"][0]["sentence"] in (folder / "table.md").read_text()


def test_a_start_that_can_not_be_had_costs_no_pretraining(tmp_path: Path) -> None:
    section = gain_section(QUICK, {})
    sets = sets_of(tree(tmp_path / "tiles", 9), section, workspace=str(tmp_path / "w"))
    stages = Stages(fails="start")
    with pytest.raises(UserError, match=r"No training of the study could be run: yolov8n\.pt can't be"):
        run_gain("quick", QUICK.summary, section, sets, stages)
    assert len(stages.projects) == 1
    (table,) = (tmp_path / "w").glob("study/gain-*/table.json")
    assert [line[4] for line in json.loads(table.read_text())["lines"]] == ["not run"] * 4


def test_the_plan_fits_a_screen_and_writes_nothing(tmp_path: Path) -> None:
    tree(tmp_path / "tiles", 9)
    words = ["study", "gain", str(tmp_path / "tiles"), f"workspace={tmp_path / 'w'}", "--plan"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "9 images, 6 with labels; 15 trainings" in shown.output
    assert "maps is not run" in shown.output
    assert shown.output.count("\n") < 24
    assert not (tmp_path / "w").exists()
    assert CliRunner().invoke(app, [*words, "gain.seed=[1]"]).exit_code == 2


@pytest.mark.slow
def test_a_study_is_run_and_found_again(tmp_path: Path, tracked: Callable[[Path], Path]) -> None:
    loop = "{epochs: 1, batch_size: 4}"
    words = [
        str(tree(tmp_path / "tiles", 24)),
        f"workspace={tracked(tmp_path / 'workspace')}",
        "gain.starts={none: scratch}",
        "gain.limits=[4]",
        "gain.epochs=[1]",
        "gain.seeds=[0, 1]",
        "gain.agbp=none",
        "maps.kead.shots=0",
        "boxes.c=0.5",
        f"detector.loop={loop}",
        "detector.image_size=64",
        "finetune.image_size=64",
    ]
    runner = CliRunner()
    first = runner.invoke(app, ["study", "gain", *words, "--json"])
    assert first.exit_code == 0, first.output
    result = json.loads(first.stdout.splitlines()[-1])
    assert [line[3].removeprefix("none + ") for line in result["lines"]] == [
        "none", "painted defects", "pseudo-boxes of the maps", "true boxes (ceiling)",
    ]  # fmt: skip
    assert len(result["cells"]) == 8
    workspace = tmp_path / "workspace"
    assert len(list(workspace.glob("paint/*/stage.json"))) == 1
    assert len(list(workspace.glob("detector/*/stage.json"))) == 6
    assert len(list(workspace.glob("finetune/*/stage.json"))) == 8
    again = runner.invoke(app, ["study", "gain", *words, "--json"])
    assert json.loads(again.stdout.splitlines()[-1]) == result
    assert len(list(workspace.glob("finetune/*/stage.json"))) == 8
