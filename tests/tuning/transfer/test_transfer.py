"""The transfer study's config, table and words; the whole of it on a real Ray."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from typer.testing import CliRunner

from agssp import app
from cluster.errors import UserError
from cluster.stages.site import Site
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from tests.in_process import run
from tests.silent_tracking import SilentPipeline
from tests.training.dense.dense_scene import scene
from training.dense.cropping import semantic_of
from training.dense.model import load_dense
from training.models.backbones.base import build
from training.models.segmenters.base import Segmenter
from training.starts.backbone_file import save_backbone
from tuning.transfer.data_study import DataStudy
from tuning.transfer.objects import OBJECTS_FILE
from tuning.transfer.picture import transfer_picture
from tuning.transfer.projects import data_sets
from tuning.transfer.section import StartSection, transfer_paper, transfer_preset, transfer_section
from tuning.transfer.stage import chosen_samples
from tuning.transfer.statistics import Curve
from tuning.transfer.text import Group, Look, document, footnotes, lines, markdown, recommendation

BACKBONE = "test_resnet.r160_in1k"


def curves(*scores: float) -> dict[int, Curve]:
    """A curve a seed, each rising straight to its score."""
    return {seed: [(10, score / 2), (20, score)] for seed, score in enumerate(scores)}


GROUPS = [
    Group("tiles", "semantic", "full", "scratch", curves(0.40, 0.42, 0.41)),
    Group("tiles", "semantic", "full", "AGBP", curves(0.50, 0.53, 0.52)),
    Group("tiles", "detection", "full", "scratch", curves(0.30, 0.20)),
    Group("tiles", "detection", "full", "AGBP", curves(0.24, 0.27)),
    Group("tiles", "instance", "full", "AGBP", not_run="no masks"),
]
LOOKS = [
    Look("tiles", 90, 0.0, deep=True, shifts={"AGBP": 4.2}),
    Look("planes", 50, 0.3, deep=False, shifts={"AGBP": 0.9}),
]


def test_the_table_tells_scores_speed_and_differences() -> None:
    found = lines(GROUPS, 0.9)
    t = np.mean([0.10, 0.11, 0.11]) / (np.std([0.10, 0.11, 0.11], ddof=1) / np.sqrt(3))
    p = 1 - t / np.sqrt(t**2 + 2)  # Student's t of two degrees of freedom in closed form
    assert found[0][4:] == ["41.0 ± 1.0 mIoU", "not reached", f"-10.7 (p = {p:.2g})"]
    # 0.9 · 51.67 = 46.5: reached on the way from 10 to 20 by every seed.
    steps = [10 + 10 * (0.9 * (1.55 / 3) - score / 2) / (score / 2) for score in (0.50, 0.53, 0.52)]
    assert found[1][4:] == [
        "51.7 ± 1.5 mIoU",
        f"{np.mean(steps):.0f} ± {np.std(steps, ddof=1):.0f}",
        "best",
    ]
    assert found[4][4:] == ["not run", "–", "–"]


def test_a_model_that_finds_nothing_is_told_from_its_background() -> None:
    blind = Group("tiles", "semantic", "full", "scratch", curves(0.16), {0: 0.0})
    seeing = Group("tiles", "semantic", "full", "AGBP", curves(0.17), {0: 0.02})
    dark = Group("strips", "detection", "frozen", "scratch", curves(0.001))
    notes = footnotes([blind, seeing, dark], "small.", "cpu", 0.9, (0,))
    (note,) = [each for each in notes if each.startswith("Finds no defects")]
    assert "tiles semantic full scratch, strips detection frozen scratch." in note
    look = Look("tiles", 9, 0.0, deep=False, shifts={})
    assert "nothing to recommend" in recommendation([blind], [look], 0.9)[0]
    assert "take AGBP" in recommendation([blind, seeing], [look], 0.9)[0]
    assert not any("Finds no" in each for each in footnotes([seeing], "small.", "cpu", 0.9, (0,)))


def test_the_recommendation_says_what_is_certain() -> None:
    sure, chance, look = recommendation(GROUPS, LOOKS[:1], 0.9)
    assert sure.startswith(
        "tiles, semantic: take AGBP, full (51.7 ± 1.5 mIoU); 10.7 above scratch over 3 seeds"
    )
    assert sure.endswith("scratch never.")
    assert "chance may explain" in chance
    assert "grey, more than 8 bits deep" in look
    assert "AGBP 4.20" in look
    assert "farther" not in look  # than what?
    *_, tiles, planes = recommendation(GROUPS, LOOKS, 0.9)
    assert "much farther than the nearest data set" in tiles
    assert "coloured (saturation 0.30)" in planes
    assert "farther" not in planes


def test_the_document_holds_everything(tmp_path: Path) -> None:
    table = document(
        GROUPS, LOOKS, transfer_paper(), preset="cpu", summary="small.", reach=0.9, seeds=(0, 1, 2)
    )
    json.dumps(table)
    text = markdown(table)
    assert "| tiles | semantic | full | AGBP | 51.7 ± 1.5 mIoU |" in text
    assert "| GDXray Castings | box mAP | ConvNeXt-T DINOv3 | 7.88 | 27.84 |" in text
    assert "no masks" in text
    # Where the paper's summary contradicts itself.
    assert "+10.59 mIoU" in text
    assert "63.28 and 64.01, which is +0.73" in text
    assert "once as box mAP, as here, and once as box mAP@50" in text
    (tmp_path / "curves.png").write_bytes(transfer_picture(GROUPS))
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size[0] > 500


@pytest.mark.parametrize("name", ["cpu", "full"])
def test_presets_are_whole(name: str) -> None:
    section = transfer_section(transfer_preset(name), {})
    assert section.tasks
    assert section.starts
    for task in section.tasks:
        for start in section.starts.values():
            assert section.model(task, start).endswith(start.backbone)


def test_own_starts_replace_the_preset_s() -> None:
    words = {
        "starts": {"mine": {"backbone": "resnet50", "weights": "w.safetensors"}},
        "models": {"detection": "yolov8n"},
    }
    section = transfer_section(transfer_preset("cpu"), {**words, "tasks": ["semantic"]})
    assert list(section.starts) == ["mine"]
    assert section.model("detection", StartSection(backbone="yolov8n")) == "yolov8n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"tasks": ["semantics"]}, "semantic"),
        ({"regimes": []}, "regimes must name"),
        ({"seeds": [1, 1]}, "seeds must name"),
        ({"starts": {"x": {"backbone": "resnet51"}}}, "resnet50"),
        ({"tasks": ["instance"], "models": {"instance": "faster-rcnn"}}, "finds no masks"),
        ({"models": {"semantic": "mask3former"}}, "mask2former"),
        ({"loop": {"best_metric": "miou"}}, "not the user's"),
        ({"crop": {"side": 100}}, "multiple of 32"),
        ({"regimes": ["linear_then_full"], "loop": {"epochs": 1}}, "has two phases"),
        ({"lora": {"rank": 0}}, "rank"),
    ],
)
def test_wrong_settings_are_told(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        transfer_section(transfer_preset("cpu"), words)


def test_settings_that_no_regime_looks_at_name_no_folder() -> None:
    preset = transfer_preset("cpu")
    plain = transfer_section(preset, {})
    assert not {"lora", "probe_share"} & plain.deciding().keys()
    assert plain.of_regime("full") == {}
    words = {"regimes": ["lora", "linear_then_full"], "probe_share": 0.3}
    adapting = transfer_section(preset, words)
    assert {"lora", "probe_share"} <= adapting.deciding().keys()
    assert adapting.of_regime("linear_then_full") == {"probe_epochs": 7}  # 0.3 of 24
    short = transfer_section(preset, words | {"probe_share": 0.01, "loop": {"epochs": 2}})
    assert short.probe_epochs == 1


def test_wrong_data_are_told(tmp_path: Path) -> None:
    preset = transfer_preset("cpu")
    section = transfer_section(preset, {"starts": {"scratch": {"backbone": BACKBONE}}})
    with pytest.raises(UserError, match="one or more folders"):
        data_sets(preset, [], {}, section)
    with pytest.raises(UserError, match="does not exist"):
        data_sets(preset, [str(tmp_path / "nothing")], {}, section)
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="has no labels"):
        data_sets(preset, [str(tmp_path)], {}, section)
    with pytest.raises(UserError, match="named twice"):
        data_sets(preset, [str(tmp_path)] * 2, {}, section)


def test_agbp_must_be_of_the_study_s_backbone(tmp_path: Path) -> None:
    tree(tmp_path, 4)
    preset = transfer_preset("cpu")
    words = {"starts": {"AGBP": {"backbone": BACKBONE, "weights": "agbp"}}}
    with pytest.raises(UserError, match=r"backbone\.name=resnet18"):
        data_sets(preset, [str(tmp_path)], {"maps": {"kead": {"shots": 0}}}, transfer_section(preset, words))


def tree(root: Path, count: int) -> None:
    """A `masks` data set of discs and bars, an image a class, and normal ones."""
    for number in range(count):
        kind = ("bar", "disc", "good")[number % 3]
        folder = root / "part" / kind
        folder.mkdir(parents=True, exist_ok=True)
        sample = scene(folder, number, 64, 64, normal=kind == "good")
        if kind != "good":
            mask = semantic_of(sample.patches(), 64, 64) > 0
            Image.fromarray((mask * 255).astype(np.uint8)).save(folder / f"{number}_mask.png")


@pytest.mark.ray
@pytest.mark.slow
def test_a_study_is_run_registered_and_found_again(
    ray_cluster: None, tmp_path: Path, tracked: Callable[[Path], Path]
) -> None:
    tree(tmp_path / "discs", 18)
    save_backbone(build(BACKBONE), Storage.open(str(tmp_path)), "ours.safetensors", image_size=64, lineage={})
    starts = {
        "scratch": {"backbone": BACKBONE},
        "ours": {"backbone": BACKBONE, "weights": str(tmp_path / "ours.safetensors")},
    }
    words = [
        str(tmp_path / "discs"),
        f"workspace={tracked(tmp_path / 'workspace')}",
        f"transfer.starts={json.dumps(starts)}",
        "transfer.tasks=[semantic]",
        "transfer.models.semantic=mask2former-s",
        "transfer.regimes=[full]",
        "transfer.seeds=[0]",
        "transfer.crop.side=64",
        "scaling.workers=1",  # on Ray Train
        "transfer.loop={epochs: 2, eval_every: 1, batch_size: 4, checkpoint_every: 2}",
    ]
    runner = CliRunner()
    first = runner.invoke(app, ["study", "transfer", *words, "--register", "--json"])
    assert first.exit_code == 0, first.output
    result = json.loads(first.stdout.splitlines()[-1])
    assert [line[3] for line in result["lines"]] == ["scratch", "ours"]
    assert all("mIoU" in line[4] for line in result["lines"])
    assert list(result["looks"][0]["shifts"]) == ["ours"]
    directory = Path(result["directory"])
    assert {path.name for path in directory.iterdir()} >= {"table.md", "table.json", "curves.png"}
    models = sorted((tmp_path / "workspace/transfer").glob("*/model.safetensors"))
    assert len(models) == 2
    model = load_dense(models[0])
    assert isinstance(model, Segmenter)
    assert model.classes == ("bar", "disc")
    (model_entry,) = result["models"]
    assert (model_entry["version"], model_entry["task"]) == (1, "semantic")
    check_tracking(tmp_path / "workspace", result)
    again = runner.invoke(app, ["study", "transfer", *words, "--register", "--json"])
    assert json.loads(again.stdout.splitlines()[-1])["models"] == result["models"]  # no second version
    assert json.loads(again.stdout.splitlines()[-1])["lines"] == result["lines"]
    assert again.stderr.count("complete already") >= 3
    shown = runner.invoke(app, ["models", "list", f"workspace={tmp_path / 'workspace'}", "--json"])
    assert "surfaces-transfer-semantic-mask2former-s" in shown.stdout


def check_tracking(workspace: Path, table: dict[str, Any]) -> None:
    """The study's run has table and curves, and a child for each training with its params and its score."""
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'agssp'")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    (study,) = [one for one in runs if one.data.tags.get("agssp.command") == "study transfer"]
    names = {entry.path for entry in client.list_artifacts(study.info.run_id)}
    assert {"table.json", "table.md", "curves.png"} <= names
    cells = [one for one in runs if one.data.tags.get("agssp.stage") == "cell"]
    assert {one.data.tags["mlflow.parentRunId"] for one in cells} == {study.info.run_id}
    scores = {one.data.params["start"]: one.data.metrics["score"] for one in cells}
    assert {one.data.params["seed"] for one in cells} == {"0"}
    last = {curve["start"]: curve["seeds"]["0"][-1][1] for curve in table["curves"]}
    assert scores == pytest.approx(last)


@pytest.mark.ray
@pytest.mark.slow
def test_what_adapts_a_vit_is_a_plain_model_in_the_end(
    ray_cluster: None, tmp_path: Path, tracked: Callable[[Path], Path]
) -> None:
    tree(tmp_path / "discs", 18)
    vit = "test_vit.r160_in1k"
    starts = {"vit": {"backbone": vit}, "resnet": {"backbone": BACKBONE}}
    words = [
        str(tmp_path / "discs"),
        f"workspace={tracked(tmp_path / 'workspace')}",
        f"transfer.starts={json.dumps(starts)}",
        "transfer.tasks=[semantic]",
        "transfer.regimes=[norms,lora,linear_then_full]",
        "transfer.seeds=[0]",
        "transfer.crop.side=64",
        "transfer.lora.rank=2",
        "scaling.workers=0",
        "transfer.loop={epochs: 2, eval_every: 1, batch_size: 4}",
    ]
    result, _ = run("study", "transfer", *words)
    scores = {tuple(line[2:4]): line[4] for line in result["lines"]}
    assert [key for key, score in scores.items() if "mIoU" not in score] == [("lora", "resnet")]
    assert any("no attention, which lora adapts" in note for note in result["notes"])
    for word in ("norms: ", "lora: ", "linear_then_full: "):
        assert any(note.startswith(word) for note in result["notes"])
    keys = build(vit).library_state_dict().keys()
    for path in (tmp_path / "workspace/transfer").glob("*/model.safetensors"):
        model = load_dense(path)
        if model.architecture.endswith(vit):
            assert {key.removeprefix("encoder.body.") for key in model.state_dict()} >= keys


def test_the_published_split_is_the_study_s(tmp_path: Path) -> None:
    """Which image is where is stated by folders; the study's table of objects keeps it."""
    stated = {}
    for number in range(9):
        split = "test" if number % 3 == 2 else "train"
        stem = f"{number}"
        sample = scene(tmp_path, number, 64, 64)
        image = tmp_path / f"set/images/{split}/{stem}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Path(sample.uri).replace(image)
        text = tmp_path / f"set/labels/{split}/{stem}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("0 0.5 0.5 0.2 0.2\n")
        stated[stem] = split
    (tmp_path / "set/data.yaml").write_text("train: images/train\ntest: images/test\nnames: [dent]\n")
    preset = transfer_preset("cpu")
    section = transfer_section(
        preset, {"starts": {"scratch": {"backbone": BACKBONE}}, "tasks": ["detection"]}
    )
    words = {"corpus": {"split": "published"}, "workspace": str(tmp_path / "workspace")}
    (data,) = data_sets(preset, [str(tmp_path / "set")], words, section)
    workspace = Storage.open(data.project.workspace)
    site = Site(workspace, SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {}))
    study = DataStudy(data, section, site)
    rows = study.objects.directory.read_table(OBJECTS_FILE).to_pylist()
    assert {Path(row["uri"]).stem: row["split"] for row in rows} == stated
    _, train, held_out = chosen_samples(section, "detection", study.objects)
    assert study.lacking() == {}
    assert sorted(Path(one.uri).stem for one in held_out) == ["2", "5", "8"]
    assert {stated[Path(one.uri).stem] for one in train} == {"train"}
    # Its labels are boxes: no model is built to find that out, and each task says it once.
    masked = transfer_section(preset, {"starts": {"scratch": {"backbone": BACKBONE}}})
    ((task, reason),) = DataStudy(data, masked, site).lacking().items()
    assert task == "semantic"
    assert "no object with a pixel mask, which the task semantic needs; leave the task out" in reason
