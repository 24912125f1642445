"""The proof's halves: nothing of a test half, and no label, reaches what pretraining sees."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.real_surfaces.halves import CORPUS, COUNTS, write_halves
from benchmarks.real_surfaces.rows import KINDS, ProofStart
from benchmarks.real_surfaces.settings import OWN, SETTINGS, Settings, project, read_settings
from cluster.errors import UserError
from pipelines.corpus.near_duplicates import near_pairs, perceptual_hash
from pipelines.corpus.section import DEFAULT_DISTANCE
from pipelines.encoder.prompts import load_library
from pipelines.images.reading import read_image
from training.starts.words import AGBP, AGSSP, SCRATCH

PARTS = 12


def write_tiles(root: Path) -> None:
    """Parts of a published tree, each at several exposures, half of them with a defect."""
    for part in range(PARTS):
        rng = np.random.default_rng(part)
        grey = cv2.resize(
            rng.uniform(60, 190, (9, 9)).astype(np.float32), (96, 96), interpolation=cv2.INTER_CUBIC
        )
        mask = np.zeros((96, 96), np.uint8)
        defective = part % 2 == 0
        if defective:
            mask[20:40, 30:60] = 255
            grey[mask > 0] *= 0.4
        folder = root / ("MT_Crack" if defective else "MT_Free") / "Imgs"
        folder.mkdir(parents=True, exist_ok=True)
        for exposure in (0.8, 0.9, 1.0):
            stem = folder / f"part{part}_{exposure * 10:.0f}"
            cv2.imwrite(f"{stem}.jpg", np.clip(grey * exposure, 0, 255).astype(np.uint8))
            cv2.imwrite(f"{stem}.png", mask)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("published")
    write_tiles(root)
    data = {
        "tiles": {"root": str(root), "layout": "magnetic_tile", "runs": [{"limit": None, "epochs": 1}]},
        "absent": {"root": str(root / "none"), "layout": "voc", "runs": [{"limit": 5, "epochs": 1}]},
    }
    generated = {"images_per_category": 8, "size": 64, "categories": ["rail"]}
    return Settings.model_validate({"data": data, "generated": generated})


@pytest.fixture(scope="module")
def made(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_halves(settings, tmp_path_factory.mktemp("workspace"))


def contents(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.jpg")}


def test_the_halves_are_the_whole_and_the_corpus_has_the_training_half(
    settings: Settings, made: Path
) -> None:
    train, test = contents(made / "tiles" / "train"), contents(made / "tiles" / "test")
    assert train
    assert test
    assert not train & test
    assert train | test == contents(settings.root("tiles"))
    assert contents(made / CORPUS) == train


def test_the_parts_are_never_on_both_sides(made: Path) -> None:
    sides = [
        {path.stem.split("_")[0] for path in (made / "tiles" / half).rglob("*.jpg")}
        for half in ("train", "test")
    ]
    assert not sides[0] & sides[1]


def test_no_image_of_the_corpus_is_nearly_one_of_the_test_half(made: Path) -> None:
    seen, held = sorted((made / CORPUS).rglob("*.jpg")), sorted((made / "tiles" / "test").rglob("*.jpg"))
    hashes = [perceptual_hash(read_image(str(path))) for path in (*seen, *held)]
    pairs = {
        (int(a), int(b))
        for first, second, _ in near_pairs(hashes, DEFAULT_DISTANCE)
        for a, b in zip(first, second, strict=True)
    }
    assert pairs  # exposures of a part
    assert not any(a < len(seen) <= b for a, b in pairs)


def test_the_corpus_holds_no_label(made: Path) -> None:
    names = [
        path.relative_to(made / CORPUS).as_posix() for path in (made / CORPUS).rglob("*") if path.is_file()
    ]
    assert {name.split("/")[0] for name in names} == {"magnetic_tile", "rail"}
    assert not [name for name in names if name.startswith("magnetic_tile") and name.endswith(".png")]  # masks
    assert not [name for name in names if "Crack" in name or "Free" in name]
    assert sum(name.startswith("rail/") for name in names) == 8


def test_labels_go_with_their_images(settings: Settings, made: Path) -> None:
    for half in ("train", "test"):
        for image in (made / "tiles" / half / "MT_Crack").rglob("*.jpg"):
            original = settings.root("tiles") / image.relative_to(made / "tiles" / half)
            assert image.with_suffix(".png").read_bytes() == original.with_suffix(".png").read_bytes()


def test_counts_agree_with_the_files(made: Path) -> None:
    counts = json.loads((made / COUNTS).read_text())
    assert set(counts) == {"tiles", "generated"}  # the absent one is left out
    for half in ("train", "test"):
        boxed = len(list((made / "tiles" / half / "MT_Crack").rglob("*.jpg")))
        assert counts["tiles"][f"{half}_boxed"] == boxed
    assert counts["generated"]["images"] == 8


def test_done_once(settings: Settings, made: Path) -> None:
    before = (made / COUNTS).stat().st_mtime_ns
    assert write_halves(settings, made.parents[1]) == made
    assert (made / COUNTS).stat().st_mtime_ns == before


def test_half_written_halves_are_written_anew(settings: Settings, tmp_path: Path) -> None:
    first = write_halves(settings, tmp_path)
    whole = contents(first / CORPUS)
    (first / COUNTS).unlink()
    (first / CORPUS / "rail" / "stray.jpg").write_bytes(b"of another run")
    write_halves(settings, tmp_path)
    assert contents(first / CORPUS) == whole


@pytest.mark.parametrize("coco", [False, True])
def test_every_row_is_a_valid_project(settings: Settings, tmp_path: Path, coco: bool) -> None:
    starts = {}
    for kind in KINDS:
        start = ProofStart(kind, coco)
        made = project(
            settings,
            folder=tmp_path,
            corpus=tmp_path / "corpus",
            halves=tmp_path / "tiles",
            layout="magnetic_tile",
            labels=settings.data["absent"].runs[0],
            seed=3,
            changes=start.changes(
                tmp_path / "coco.safetensors", tmp_path / "rival.safetensors" if kind == "lightly" else None
            ),
        )
        starts[kind] = made.finetune.starts[0]
        assert made.finetune.limit == 5
        assert (made.seed, made.backbone.loop.seed, made.detector.loop.seed) == (3, 1, 1)
        assert (made.backbone.lam == 0) == (kind == "pretext")
        assert (made.backbone.start != "scratch") == coco
        if kind == "lightly":
            assert made.finetune.weights[starts[kind]] == str(tmp_path / "rival.safetensors")
    first = "weights" if coco else SCRATCH
    assert starts == {"none": first, "pretext": AGBP, "agbp": AGBP, "agssp": AGSSP, "lightly": "weights"}


def test_the_shipped_settings_make_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SETTINGS, raising=False)
    shipped = read_settings()
    for section in shipped.data.values():
        made = project(
            shipped,
            folder=tmp_path,
            corpus=tmp_path / "corpus",
            halves=tmp_path / "halves",
            layout=section.layout,
            labels=section.runs[0],
            seed=2,
            changes=ProofStart("agssp", coco=True).changes(tmp_path / "coco.safetensors", None),
        )
        assert made.finetune.data is not None
        assert made.finetune.data.test.root != made.finetune.data.train.root
    library = load_library()
    for category in ("magnetic_tile", "steel_strip", *(shipped.generated.categories or ())):
        assert library.category(category).defects


def test_an_unknown_setting_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN.read_text().replace("test_share:", "test_chair:"))
    monkeypatch.setenv(SETTINGS, str(file))
    with pytest.raises(UserError, match=r'own\.yaml: unknown key "test_chair".*test_share'):
        read_settings()
