"""The study of Table 4: rows against the methods run by hand, resuming, and the table beside the paper's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from pipelines.encoder.prompts import load_library
from pipelines.images.reading import read_image, read_mask
from pipelines.maps.kead import KeAD
from pipelines.maps.reading import upsample
from pipelines.maps.section import KeadSettings, MapsSection, WinclipSettings
from pipelines.maps.winclip import WinCLIP
from pipelines.surfaces.generator import write_corpus
from tests.pipelines.tiny_encoder import tiny_encoder
from tests.repository import shared
from training.project import Project
from tuning.table4 import stage as table4_stage
from tuning.table4.kept_rows import KeptRows
from tuning.table4.labelled_set import LabelledSet, inspect_listing, labelled_set
from tuning.table4.measuring import ROWS, Measured, MethodRow, measure
from tuning.table4.paper import paper_table4
from tuning.table4.text import (
    HEADER,
    cells,
    comparison,
    footnotes,
    markdown,
    paper_encoder,
    time_ratio,
)

BASE = MapsSection.model_validate({"batch_size": 3, "kead": {"shots": 2}, "winclip": {"shots": 1}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("surfaces")
    write_corpus(
        path, seed=5, images_per_category=9, size=40, defect_share=0.6, categories=["rail", "billet"]
    )
    return path


def read_set(folder: Path, **changes: Any) -> LabelledSet:
    section = CorpusSection(root=str(folder), reference_count=2, **changes)
    listing = Listing(section)
    return labelled_set(inspect_listing(listing), section, listing)


@pytest.fixture(scope="module")
def labelled(folder: Path) -> LabelledSet:
    return read_set(folder)


def test_references_are_not_judged_and_all_other_labelled_images_are(
    folder: Path, labelled: LabelledSet
) -> None:
    files = {str(path) for path in folder.rglob("*.png") if "_mask" not in path.name}
    references = {uri for uris in labelled.references.values() for uri in uris}
    assert [len(uris) for uris in labelled.references.values()] == [2, 2]
    assert all("/good/" in uri for uri in references)
    assert {image.uri for image in labelled.images} == files - references
    assert all(image.defective == ("/good/" not in image.uri) for image in labelled.images)


@pytest.mark.parametrize(
    "row", [MethodRow("KeAD", "few", True, True), MethodRow("KeAD", "zero"), MethodRow("WinCLIP", "few")]
)
def test_a_row_is_the_method_run_by_hand(labelled: LabelledSet, row: MethodRow) -> None:
    encoder = tiny_encoder()
    shots = 0 if row.mode == "zero" else 1 if row.model == "WinCLIP" else 2
    method: KeAD | WinCLIP = (
        WinCLIP(encoder, WinclipSettings(shots=shots))
        if row.model == "WinCLIP"
        else KeAD(encoder, KeadSettings(shots=shots, defect_features=row.defect_features, vv=row.vv))
    )
    scores, pixels, truth, defective = [], [], [], []
    for image in labelled.images:
        uris = labelled.references[image.category][:shots]
        references = [torch.from_numpy(method.preprocess(read_image(uri))) for uri in uris]
        state = method.category_state(
            load_library().category(image.category), torch.stack(references) if references else None
        )
        output = method(torch.from_numpy(method.preprocess(read_image(image.uri)))[None], [state])
        scores.append(float(output.score))
        pixels.append(upsample(output.maps[0].numpy(), 40, 40).ravel())
        empty = np.zeros((40, 40), np.bool_)
        truth.append(
            (read_mask(image.uri.replace(".png", "_mask.png")) if image.defective else empty).ravel()
        )
        defective.append(image.defective)
    result = measure(row, BASE, encoder, labelled)
    assert result.shots == shots
    assert result.not_run is None
    assert result.image_auroc == pytest.approx(roc_auc_score(defective, scores))
    expected = roc_auc_score(np.concatenate(truth), np.concatenate(pixels))
    assert result.pixel_auroc == pytest.approx(expected, abs=1e-4)
    assert result.aupro is not None
    assert 0 <= result.aupro <= 1
    assert result.seconds_per_image is not None
    assert 0 < result.seconds_per_image < 5


def test_rows_are_the_whole_grid_once() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS) == 14
    assert sum(row.model == "WinCLIP" for row in ROWS) == 2
    assert {(row.mode, row.defect_features, row.vv) for row in ROWS if row.model == "KeAD"} == {
        (mode, df, vv) for mode in ("zero", "few") for df in (False, True) for vv in (False, True)
    }


def test_few_shot_without_references_is_not_run_and_says_why(labelled: LabelledSet) -> None:
    bare = LabelledSet(labelled.images, {**labelled.references, "rail": ()})
    result = measure(MethodRow("KeAD", "few", True, True), BASE, tiny_encoder(), bare)
    assert result.not_run == 'category "rail" has 0 normal references, 2 are needed'
    assert (result.image_auroc, result.seconds_per_image) == (None, None)
    assert measure(MethodRow("KeAD", "zero"), BASE, tiny_encoder(), bare).not_run is None
    zero = MapsSection.model_validate({"winclip": {"shots": 0}})
    assert (
        measure(MethodRow("WinCLIP", "few"), zero, tiny_encoder(), bare).not_run == "maps.winclip.shots is 0"
    )


def test_one_class_or_no_masks_leave_figures_out(labelled: LabelledSet) -> None:
    row = MethodRow("KeAD", "zero")
    broken = tuple(image for image in labelled.images if image.defective)
    only_defects = measure(row, BASE, tiny_encoder(), LabelledSet(broken, labelled.references))
    assert only_defects.image_auroc is None
    assert only_defects.pixel_auroc is not None
    normal = tuple(image for image in labelled.images if not image.defective)
    only_normal = measure(row, BASE, tiny_encoder(), LabelledSet(normal, labelled.references))
    assert (only_normal.image_auroc, only_normal.pixel_auroc, only_normal.aupro) == (None, None, None)


def boxed_set(folder: Path, labelled: LabelledSet, annotations: list[dict[str, Any]]) -> LabelledSet:
    """The images as a COCO corpus of boxes alone, x y w h of each image's number."""
    names = [Path(image.uri) for image in labelled.images]
    (folder / "images").mkdir(parents=True)
    for number, path in enumerate(names):
        (folder / "images" / f"{number}.png").write_bytes(path.read_bytes())
    document = {
        "images": [
            {"id": number + 1, "file_name": f"{number}.png", "width": 40, "height": 40}
            for number in range(len(names))
        ],
        "categories": [{"id": 1, "name": "dent"}],
        "annotations": annotations,
    }
    (folder / "labels.json").write_text(json.dumps(document))
    section = CorpusSection(root=str(folder), category="rail", reference_count=0)
    listing = Listing(section)
    return labelled_set(inspect_listing(listing), section, listing)


def test_boxes_are_filled_where_there_is_no_mask(tmp_path: Path, labelled: LabelledSet) -> None:
    corners = {1: [(3, 5, 20, 9)], 2: [(0, 0, 8, 8), (20, 20, 10, 15)], 3: [(30, 2, 10, 30)]}
    boxes = [(number, box) for number, each in corners.items() for box in each]
    annotations = [
        {"id": place + 1, "image_id": number, "category_id": 1, "bbox": box, "area": 1, "iscrowd": 0}
        for place, (number, box) in enumerate(boxes)
    ]
    boxed = boxed_set(tmp_path / "boxes", labelled, annotations)
    assert (boxed.has_places, boxed.filled) == (True, 3)
    row, encoder = MethodRow("KeAD", "zero"), tiny_encoder()
    result = measure(row, BASE, encoder, boxed)
    method = KeAD(encoder, KeadSettings(shots=0, defect_features=False, vv=False))
    state = method.category_state(load_library().category("rail"), None)
    pixels, truth = [], []
    for image in boxed.images:
        output = method(torch.from_numpy(method.preprocess(read_image(image.uri)))[None], [state])
        pixels.append(upsample(output.maps[0].numpy(), 40, 40).ravel())
        mask = np.zeros((40, 40), np.bool_)
        for x, y, w, h in corners.get(int(Path(image.uri).stem) + 1, []):
            mask[y : y + h, x : x + w] = True
        truth.append(mask.ravel())
    expected = roc_auc_score(np.concatenate(truth), np.concatenate(pixels))
    assert result.pixel_auroc == pytest.approx(expected, abs=1e-4)
    assert result.aupro is not None
    # A region to be ignored has no pixels to leave out, so that no pixel's truth is known there.
    crowd = [*annotations, {**annotations[0], "id": 99, "image_id": 4, "iscrowd": 1}]
    ignored = boxed_set(tmp_path / "crowd", labelled, crowd)
    assert not ignored.has_places
    assert measure(row, BASE, encoder, ignored).pixel_auroc is None


def test_figures_of_filled_boxes_are_marked() -> None:
    guessed = Measured(MethodRow("KeAD", "zero"), 0, None, 0.51, 0.3, 0.5)
    counts = {"defective": 40, "normal": 0}
    lines = comparison(measured_rows(kead_zero=guessed), paper_table4(), "base", **counts, filled=7)
    shown = {tuple(cells(line)[:5]): cells(line)[5:8] for line in lines}
    assert shown["KeAD", "base", "zero", "✗", "✗"] == ["–", "51.0*‡", "30.0‡"]
    assert shown["WinCLIP", "base", "few", "✗", "✗"] == ["91.2", "80.0‡", "–"]
    notes = " ".join(footnotes(lines, paper_table4()))
    assert "* can't be told from guessing" in notes
    assert "‡ of filled boxes" in notes
    plain = comparison(measured_rows(), paper_table4(), "base", **counts)
    assert "‡" not in " ".join(footnotes(plain, paper_table4()))


@pytest.fixture
def tiny(tmp_path: Path) -> MapsSection:
    """The maps config with a small random encoder of files."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    path = tmp_path / f"tiny-{tmp_path.name}.json"
    path.write_text(json.dumps(config))
    torch.manual_seed(0)
    save_file(dict(open_clip.CLIP(**config).state_dict()), tmp_path / "w.safetensors")
    encoder = {"model": str(path), "weights": str(tmp_path / "w.safetensors")}
    return MapsSection.model_validate({**BASE.model_dump(), "encoder": encoder})


def test_an_interrupted_study_goes_on_with_the_next_row(
    tmp_path: Path, labelled: LabelledSet, tiny: MapsSection, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def killed_in_the_fourth(row: MethodRow, *rest: Any) -> Measured:
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(row.key)
        return measure(row, *rest)

    directory = Storage.open(str(tmp_path / "study"))
    kept = KeptRows(Storage.open(str(tmp_path / "no tables")), {}, tiny)
    monkeypatch.setattr(table4_stage, "measure", killed_in_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        table4_stage.finished_rows(directory, tiny, labelled, "cpu", kept)
    assert sorted(directory.at("rows").children()) == sorted(f"{key}.json" for key in measured)
    first = directory.read_json(f"rows/{measured[0]}.json")

    def counted(row: MethodRow, *rest: Any) -> Measured:
        measured.append(row.key)
        return measure(row, *rest)

    monkeypatch.setattr(table4_stage, "measure", counted)
    results = table4_stage.finished_rows(directory, tiny, labelled, "cpu", kept)
    assert measured == [row.key for row in ROWS] == [result.row.key for result in results]
    assert kept.document(results[0]) == first


def test_rows_of_other_tables_are_found_again(
    tmp_path: Path, labelled: LabelledSet, tiny: MapsSection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head, or another option of one method, leaves the rows of the others as they are."""
    measured: list[str] = []

    def counted(row: MethodRow, *rest: Any) -> Measured:
        measured.append(row.key)
        return measure(row, *rest)

    def table(name: str, maps: MapsSection, **shared: Any) -> list[Measured]:
        measured.clear()
        kept = KeptRows(tables, {"images": "i0", **shared}, maps)
        return table4_stage.finished_rows(tables.at(name), maps, few, "cpu", kept)

    few = LabelledSet(labelled.images[::4], labelled.references)
    tables = Storage.open(str(tmp_path / "tables"))
    monkeypatch.setattr(table4_stage, "measure", counted)
    first = table("first", tiny)
    assert measured == [row.key for row in ROWS]
    trained = {row.key for row in ROWS if row.model not in ("KeAD", "WinCLIP")}
    head = tmp_path / "head.safetensors"
    save_file({"w": torch.ones(1)}, head)  # of no method: its rows say so, and are tried again
    with_head = tiny.model_copy(update={"aprilgan": tiny.aprilgan.model_copy(update={"head": str(head)})})
    second = table("second", with_head)
    assert set(measured) == trained
    assert [one for one in second if one.row.key not in trained] == [
        one for one in first if one.row.key not in trained
    ]
    table("third", tiny.model_copy(update={"winclip": tiny.winclip.model_copy(update={"shots": 2})}))
    # The options of a method are those of all its rows but for the number of references.
    assert set(measured) == trained | {"winclip-few"}
    table("fourth", tiny, images="i1")
    assert measured == [row.key for row in ROWS]


PAPER_TEXT = "reference/papers/001_f6aa8f6f3b7b4c08.txt"  # of `shared`


@pytest.mark.data
def test_shipped_figures_are_those_printed() -> None:
    paper = shared(PAPER_TEXT).read_text()
    printed = []
    model = encoder = ""
    for line in paper.split("| Model | Encoder | Mode | DF | V-V |")[1].splitlines()[2:]:
        if not line.startswith("|"):
            break
        values = [cell.strip() for cell in line.strip("| ").split("|")]
        texts, figures = values[:-4], [float(value) for value in values[-4:]]
        if len(texts) == 5:
            model = texts.pop(0)
        if len(texts) == 4:
            encoder = texts.pop(0)
        flags = [{"✓": True, "✗": False, "-": None}[flag] for flag in texts[1:]]
        printed.append((model, encoder.lower(), texts[0].lower(), *flags, *figures))
    assert len(printed) == 13
    shipped = [
        (
            row.model,
            row.encoder,
            row.mode,
            row.defect_features,
            row.vv,
            row.casting_billet.image,
            row.casting_billet.pixel,
            row.steel_pipe.image,
            row.steel_pipe.pixel,
        )
        for row in paper_table4().rows
    ]
    assert shipped == printed


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("huge", "huge"),
        ("ViT-L-14-336-quickgelu", "large"),
        ("ViT-B/16-plus-240", "base"),
        ("surface-clip", "base"),
    ],
)
def test_the_papers_encoder_of_a_name(model: str, word: str) -> None:
    assert paper_encoder(model) == word


def measured_rows(**special: Measured) -> list[Measured]:
    seconds = {"KeAD": 0.5, "WinCLIP": 4.0, "April-GAN": 0.6, "AnomalyCLIP": 0.5, "AA-CLIP": 0.7}
    return [
        special.get(row.key.replace("-", "_")) or Measured(row, 4, 0.9123, 0.8, None, seconds[row.model])
        for row in ROWS
    ]


@pytest.mark.parametrize("model", ["base", "large", "huge", "surface-clip"])
def test_every_row_of_the_paper_stands_once(model: str) -> None:
    lines = comparison(measured_rows(), paper_table4(), model, defective=50, normal=50)
    paper = [line["paper"] for line in lines if line["paper"]]
    assert len(paper) == len(paper_table4().rows)
    beside = [line for line in lines[: len(ROWS)] if line["paper"]]
    assert len(beside) == {"base": 5, "surface-clip": 5, "large": 6, "huge": 2}[model]
    for line in beside:
        assert line["paper"]["encoder"] == paper_encoder(model)
    whole = next(line for line in lines if (line["model"], line["mode"], line["vv"]) == ("KeAD", "few", True))
    assert whole["encoder"] == model


def test_text_of_the_table() -> None:
    why = Measured(
        MethodRow("WinCLIP", "few"), 4, not_run='category "rail" has 0 normal references, 4 are needed'
    )
    lines = comparison(measured_rows(winclip_few=why), paper_table4(), "huge", defective=50, normal=50)
    shown = {tuple(cells(line)[:5]): cells(line)[5:] for line in lines}
    assert shown["KeAD", "huge", "few", "✓", "✓"] == ["91.2", "80.0", "–", "0.5", "93.5/77.7", "69.0/81.0"]
    assert shown["WinCLIP", "huge", "few", "✗", "✗"] == ["not run", "", "", "", "–", "–"]
    assert shown["AA-CLIP", "large", "zero", "–", "–"] == ["not run", "", "", "", "79.3/82.7", "56.1/78.8"]
    assert shown["April-GAN", "huge", "few", "–", "–"][:2] == ["91.2", "80.0"]
    notes = " ".join(footnotes(lines, paper_table4()))
    assert 'Not run: WinCLIP few: category "rail" has 0 normal references, 4 are needed. ' in f"{notes} "
    sentence = Measured(MethodRow("AA-CLIP", "zero"), 0, not_run="It needs a head.")
    told = footnotes(
        comparison(measured_rows(aa_clip_zero=sentence), paper_table4(), "huge", defective=50, normal=50),
        paper_table4(),
    )
    assert "Not run: AA-CLIP zero: It needs a head." in told
    assert "arXiv 2509.18919v1" in notes
    assert time_ratio(lines) is None
    text = markdown(lines, paper_table4(), 14)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {len(HEADER) + 1}
    assert len(rows) == 2 + len(lines)


def test_time_ratio_is_that_of_the_whole_methods() -> None:
    lines = comparison(measured_rows(), paper_table4(), "base", defective=50, normal=50)
    assert time_ratio(lines) == pytest.approx(8)
    assert any(
        "8.0 × KeAD's time an image here, 10.4 × in the paper" in n for n in footnotes(lines, paper_table4())
    )


def test_devices_that_are_not_there_are_told() -> None:
    assert table4_stage.check_device("cpu") == "cpu"
    for name in ("gpu", "meta", "cuda:77"):
        with pytest.raises(UserError, match="give --device cpu or cuda"):
            table4_stage.check_device(name)


def test_rows_at_chance_level_are_marked() -> None:
    guessed = Measured(MethodRow("KeAD", "few", True, True), 4, 0.55, 0.9, 0.1, 0.5)
    worse = Measured(MethodRow("KeAD", "zero"), 0, 0.2, 0.51, 0.1, 0.5)
    rows = measured_rows(kead_few_df_vv=guessed, kead_zero=worse)
    lines = comparison(rows, paper_table4(), "base", defective=40, normal=40)
    shown = {tuple(cells(line)[:5]): cells(line)[5:7] for line in lines}
    assert shown["KeAD", "base", "few", "✓", "✓"] == ["55.0*", "90.0"]
    assert shown["KeAD", "base", "zero", "✗", "✗"] == ["20.0†", "51.0*"]
    assert shown["WinCLIP", "base", "few", "✗", "✗"] == ["91.2", "80.0"]
    notes = " ".join(footnotes(lines, paper_table4()))
    assert "* can't be told from guessing" in notes
    assert "† worse than guessing" in notes
    sure = comparison(measured_rows(), paper_table4(), "base", defective=40, normal=40)
    assert "guessing" not in " ".join(footnotes(sure, paper_table4()))
    # Three images of each kind: even 0.9 may be luck.
    few = comparison(measured_rows(), paper_table4(), "base", defective=3, normal=3)
    assert few[0]["marks"]["image_auroc"] == "*"


@pytest.mark.parametrize(
    ("maps", "told"),
    [
        ({"tiles": "auto"}, r"run it with maps\.tiles=off, and"),
        ({"bank": {"mode": "mutual"}}, r"maps\.bank\.mode=references"),
        (
            {"tiles": 64, "bank": {"encoder": "efficientnet-lite0", "most": 9}},
            r"maps\.tiles=off maps\.bank\.encoder=clip maps\.bank\.most=null",
        ),
    ],
)
def test_maps_that_no_row_is_are_refused(maps: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        table4_stage.run_table4(
            Project.model_validate({"name": "x", "workspace": "/nowhere", "maps": maps}), "cpu"
        )
