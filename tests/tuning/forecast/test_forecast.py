"""The forecast's config, plan, words and run: figures of a known curve in the place of trainings."""

import csv
import json
from collections.abc import Callable
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
from training.project import Project
from tuning.forecast.images import moved_by_images
from tuning.forecast.plan import forecast_plan
from tuning.forecast.projects import ForecastSet, forecast_set
from tuning.forecast.results import Run, StartResult
from tuning.forecast.section import forecast_preset, forecast_section
from tuning.forecast.study import Measured, run_forecast
from tuning.forecast.text import lines, verdicts

QUICK = forecast_preset("quick")
SECTION = forecast_section(QUICK, {})


def tree(root: Path, count: int) -> Path:
    """A `masks` data set: grey tiles, all but every third with a bright square."""
    for number in range(count):
        kind = "good" if number % 3 == 0 else "spot"
        folder = root / "tile" / kind
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(number)
        pixels = random.integers(40, 90, (48, 48), np.uint8)
        if kind == "spot":
            mask = np.zeros((48, 48), np.uint8)
            x, y = random.integers(2, 30, 2)  # elsewhere in each: all would be near-duplicates of one another
            mask[y : y + 16, x : x + 16] = 255
            pixels[mask > 0] += 120
            Image.fromarray(mask).save(folder / f"{number}_mask.png")
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def runs(a: float, b: float, c: float, noise: float = 0.01) -> list[Run]:
    rng = np.random.default_rng(0)
    return [
        Run(size, seed, float(a - b * size**-c + noise * rng.standard_normal()))
        for seed in (0, 1, 2)
        for size in (12, 25, 50, 100)
    ]


def said(result: StartResult) -> str:
    (verdict,) = verdicts([result], forecast_section(QUICK, {}))
    return verdict.sentence


def test_targets_are_foretold_in_words() -> None:
    sentence = said(StartResult("coco", runs(0.7, 1.4, 0.6), 400))
    truth = [round(100 * (0.7 - 1.4 * count**-0.6)) for count in (50, 100)]
    for count, figure in zip((50, 100), truth, strict=True):
        told = int(sentence.split(f"{count} labels: ")[1].split()[0])
        assert abs(told - figure) <= 1
    assert "Doubling the 100 labels that were learnt from brings about +" in sentence
    assert "1,000 labels are more than 4 times what was measured" in sentence


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (StartResult("s", runs(0.7, 1.4, 0.6)[:2], 400), "too few points: 2 trainings with 2 sizes"),
        (StartResult("s", runs(0.7, 1.4, 0.6)[:3], 400), "too few points: 3 trainings"),
        (StartResult("s", runs(0.7, 1.4, 0.6), 3), "too few test boxes: 3"),
        (StartResult("s", runs(0.4, 0.0, 0.6), 400), "flat: from 12 to 100 labels"),
        (StartResult("s", runs(0.4, 0.0, 0.6, 0), 400), "flat: from 12 to 100 labels"),
        (StartResult("s", runs(0.3, -1.0, 0.6), 400), "flat: from 12 to 100 labels"),
        (StartResult("s", runs(0.0, 0.0, 0.6, 0), 400), "nothing is found with any number of labels"),
        (StartResult("s", not_run="no such weights"), "not run: no such weights"),
    ],
)
def test_a_fit_that_means_nothing_is_said_so(result: StartResult, reason: str) -> None:
    assert reason in said(result)
    _, rows = lines([result], forecast_section(QUICK, {}))
    assert set(rows[0][1:]) == {"–"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"targets": [0]}, "must be 1 or more"),
        ({"seeds": [1, 1]}, "seeds must all be different"),
        ({"sizes": [4, 8]}, "3 or more entries"),
        ({"shares": [0.5, 1.5, 1.0]}, "must be 1.0 or less"),
        ({"metric": "map"}, "map50"),
        ({"target": [5]}, "targets"),
    ],
)
def test_wrong_settings_are_told(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        forecast_section(QUICK, words)


def test_subsets_are_taken_of_what_is_there() -> None:
    section = forecast_section(QUICK, {})
    assert section.sizes_of(100) == (12, 25, 50, 100)
    assert section.sizes_of(16) == (4, 8, 16)
    with pytest.raises(UserError, match="has 9 labelled images with objects, from which 2 subsets"):
        section.sizes_of(9)
    chosen = forecast_section(QUICK, {"sizes": [40, 10, 20]})
    assert chosen.sizes_of(40) == (10, 20, 40)
    with pytest.raises(UserError, match="asks for 40 labelled images with objects"):
        chosen.sizes_of(39)


def test_wrong_data_are_told(tmp_path: Path) -> None:
    section = forecast_section(QUICK, {})
    with pytest.raises(UserError, match="Name a folder of labelled images"):
        forecast_set(QUICK, [], {}, section)
    with pytest.raises(UserError, match="one data set"):
        forecast_set(QUICK, ["a", "b"], {}, section)
    with pytest.raises(UserError, match="does not exist"):
        forecast_set(QUICK, [str(tmp_path / "nothing")], {}, section)
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="no labels"):
        forecast_set(QUICK, [str(tmp_path)], {}, section)
    with pytest.raises(UserError, match="Name the images once"):
        forecast_set(QUICK, [str(tmp_path)], {"generate": {}}, section)
    with pytest.raises(UserError, match='no preset "qick"; did you mean "quick"'):
        forecast_preset("qick")


def test_a_cell_is_a_nested_subset_of_its_seed(tmp_path: Path) -> None:
    starts = {"none": "scratch", "mine": str(tmp_path / "w.safetensors"), "own": "agssp"}
    section = forecast_section(QUICK, {"starts": starts})
    data = ForecastSet({"corpus": {"root": str(tmp_path)}}, 9)
    cell = data.cell(section, "mine", 25, 2)
    assert (cell.finetune.limit, cell.finetune.loop.seed, cell.seed) == (25, 2, 0)
    assert cell.finetune.given == {"weights": starts["mine"]}
    assert data.cell(section, "none", 25, 2).finetune.starts == ("scratch",)
    assert data.cell(section, "own", 25, 2).finetune.starts == ("agssp",)


def test_the_plan_reads_no_pixel(tmp_path: Path) -> None:
    folder = tree(tmp_path / "tiles", 60)
    (folder / "tile/spot/1.png").write_bytes(b"no image")
    words = ["forecast", str(folder), f"workspace={tmp_path / 'w'}", "--plan"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    # 40 images have labels, half of them are held out.
    assert "Subsets of about 5, 10, 20 labels: 9 trainings" in result.stdout
    assert not (tmp_path / "w").exists()
    few = CliRunner().invoke(app, ["forecast", str(tree(tmp_path / "few", 9)), "--plan"])
    assert few.exit_code == 0
    assert "It can't be run: The training half has 3 labelled images" in few.stdout


def measured_curve(project: Project, site: Site, metric: str) -> Measured:
    """What a training on so many labels would give, from a known curve."""
    size, seed = project.finetune.limit, project.finetune.loop.seed
    assert size is not None
    assert seed is not None
    rng = np.random.default_rng([size, seed])
    return Measured(0.7 - 1.4 * size**-0.6 + 0.01 * float(rng.standard_normal()), 400)


def test_a_forecast_is_run_written_and_read_again(tmp_path: Path) -> None:
    section = forecast_section(QUICK, {"starts": {"a": "scratch"}, "seeds": [0, 1]})
    words = {"corpus": {"root": str(tree(tmp_path / "tiles", 6))}, "workspace": str(tmp_path / "w")}
    data = ForecastSet({**QUICK.project, **words}, 4)

    def half_broken(project: Project, site: Site, metric: str) -> Measured:
        if project.finetune.limit == 50:
            raise UserError("the weights are gone")
        return measured_curve(project, site, metric)

    made = run_forecast("quick", "small", section, data, measured_curve, lambda *_: 100)
    written = json.loads(made.directory.read("table.json"))
    assert [row["labels"] for row in written["curves"][0]["forecast"]] == [50, 100, 200, 300, 1000]
    for row in written["curves"][0]["forecast"]:
        assert row["low"] <= row["expected"] <= row["high"]
        assert row["low"] - 0.01 <= 0.7 - 1.4 * row["labels"] ** -0.6 <= row["high"] + 0.01
    rows = list(csv.DictReader(made.directory.read("runs.csv").decode().splitlines()))
    assert len(rows) == 2 * 4
    assert made.directory.read("curves.svg").startswith(b"<?xml")
    assert "Doubling" in made.directory.read("table.md").decode()
    broken = run_forecast("quick", "small", section, data, half_broken, lambda *_: 100)
    assert "too few points" in broken.table["verdicts"][0]["sentence"]
    with pytest.raises(UserError, match="9 labelled images"):
        run_forecast("quick", "small", section, data, measured_curve, lambda *_: 9)


@pytest.mark.slow
def test_real_trainings_are_run_and_found_again(tmp_path: Path, tracked: Callable[[Path], Path]) -> None:
    """Three of an epoch each, which find nothing: said so, with the figures of COCO's own protocol."""
    words = [
        *("forecast", str(tree(tmp_path / "tiles", 36)), f"workspace={tracked(tmp_path / 'w')}"),
        *("forecast.starts={none: scratch}", "forecast.sizes=[4, 6, 8]", "forecast.seeds=[0]"),
        *("finetune.image_size=64", "finetune.loop.epochs=1", "--json"),
    ]
    first, again = (CliRunner().invoke(app, words) for _ in range(2))
    for result in (first, again):
        assert result.exit_code == 0, result.stderr
        made = json.loads(result.stdout.strip().splitlines()[-1])
        assert [row["labels"] for row in made["runs"]] == [4, 6, 8]
        assert made["lines"][0][1:] == ["–"] * (len(made["header"]) - 1)
        assert "no forecast" in made["verdicts"][0]["sentence"]
    assert "finetune: started" in first.stderr
    assert "finetune: started" not in again.stderr
    for folder in sorted((tmp_path / "w/evaluate").iterdir()):
        evaluated = Artifact("evaluate", "", Storage.open(str(folder)), {}, reused=True)
        (corpus,) = (tmp_path / "w/corpus").iterdir()
        labelled = Artifact("corpus", "", Storage.open(str(corpus)), {}, reused=True)
        moved = moved_by_images(evaluated, labelled, "map50")
        assert moved.shape == (200,)
        assert np.isfinite(moved).all()


def test_a_plan_counts_no_image_of_a_given_test_part(tmp_path: Path) -> None:
    train, test = tree(tmp_path / "train", 48), tree(tmp_path / "test", 90)
    named = {"train": {"root": str(train)}, "test": {"root": str(test)}}
    given = forecast_set(QUICK, [], {"finetune": {"data": named}}, SECTION)
    assert (given.annotated, given.to_learn) == (32 + 60, 32)
    assert forecast_plan(SECTION, given)["sizes"] == [4, 8, 16, 32]
    yolo = tmp_path / "yolo"
    for part, count in (("train", 40), ("test", 25)):
        for number in range(count):
            for folder, suffix in (("images", "png"), ("labels", "txt")):
                path = yolo / folder / part / f"{part}{number}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("0 0.5 0.5 0.2 0.2\n")  # nobody reads a pixel
    (yolo / "data.yaml").write_text("names: [dent]\ntrain: images/train\ntest: images/test\n")
    published = forecast_set(QUICK, [str(yolo)], {"corpus": {"split": "published"}}, SECTION)
    assert (published.annotated, published.to_learn) == (65, 40)
    drawn = forecast_set(QUICK, [str(yolo)], {"corpus": {"test_share": 0.2}}, SECTION)
    assert drawn.to_learn == pytest.approx(0.8 * 65)


def test_a_plan_counts_every_round_of_a_finetuning(tmp_path: Path) -> None:
    folder = str(tree(tmp_path / "tiles", 90))
    made = {}
    for rounds in (1, 2):
        section = forecast_section(QUICK, {})
        words = {"finetune": {"rounds": rounds}}
        made[rounds] = forecast_plan(section, forecast_set(QUICK, [folder], words, section))
    assert made[2]["trainings"] == 2 * made[1]["trainings"]
    assert made[2]["images_learnt"] == pytest.approx(4 * made[1]["images_learnt"], rel=1e-3)


def test_a_few_test_images_give_no_forecast_whatever_their_boxes() -> None:
    known = StartResult("coco", runs(0.8, 1.5, 0.5), test_boxes=400, test_images=6)
    assert known.unfit() is None
    few = StartResult("coco", runs(0.8, 1.5, 0.5), test_boxes=400, test_images=5)
    assert "too few test images with objects: 5, at least 6" in str(few.unfit())
