"""`agssp corpus` and `agssp corpus check` by the command line, on a local Ray."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from agssp import app
from pipelines.surfaces.generator import write_corpus

pytestmark = pytest.mark.ray

Built = tuple[list[str], dict[str, Any], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def words(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """A project of 24 generated surfaces (layout `masks`)."""
    folder = tmp_path_factory.mktemp("project")
    write_corpus(
        folder / "photos",
        seed=1,
        images_per_category=12,
        size=64,
        defect_share=0.5,
        categories=["billet", "rail"],
    )
    (folder / "photos/boxes.csv").write_text("image,x,y\n")
    return [f"corpus.root={folder / 'photos'}", f"workspace={tracked(folder / 'w')}", "corpus.test_share=0.4"]


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON on stdout, stderr."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


@pytest.fixture(scope="module")
def built(words: list[str]) -> Built:
    """The project's words, what `agssp corpus` printed, and the manifest."""
    code, result, stderr = run("corpus", *words)
    assert code == 0, stderr
    told = "files that may hold labels but that the layout masks does not read: 1 (boxes.csv)"
    assert told in " ".join(stderr.split())
    return words, result, pq.read_table(Path(result["directory"]) / "manifest").to_pylist()


def test_corpus_writes_tables_and_sheets_and_prints_categories(
    built: Built,
) -> None:
    words, result, manifest = built
    directory = Path(result["directory"])
    counts = result["results"]
    assert counts["images"] == len(manifest) == 24
    assert (counts["passed_over"], counts["passed_over_files"]) == (1, "boxes.csv")
    assert counts["contact_sheets"] == 2
    assert sorted(path.name for path in (directory / "contact_sheets").iterdir()) == [
        "billet.png",
        "rail.png",
    ]
    assert counts["near_duplicates"] == pq.read_table(directory / "near_duplicates.parquet").num_rows == 0
    assert pq.read_table(directory / "hashes.parquet").num_rows == 24
    assert [row["category"] for row in result["statistics"]] == ["billet", "rail"]
    assert {row["width_max"] for row in result["statistics"]} == {64.0}
    assert sum(row["test"] for row in result["statistics"]) == counts["test"]
    again = CliRunner().invoke(app, ["corpus", "build", *words])
    assert again.exit_code == 0, again.stderr
    assert "complete already" in again.stderr
    billet = next(line for line in again.stdout.splitlines() if line.startswith("billet: "))
    assert billet.startswith("billet: 12 images (train ")
    assert ", 100% labelled, 64 × 64 pixels, grey level " in billet
    assert "Images left out" not in again.stdout


def test_a_corpus_with_too_many_faults_lists_all_of_them(built: Built, tmp_path: Path) -> None:
    """The sentence names the first alone; who repairs them needs the rest."""
    words, _, manifest = built
    root = tmp_path / "some"
    shutil.copytree(Path(manifest[0]["uri"]).parents[2], root)
    broken = sorted(file for file in root.rglob("*.png") if not file.stem.endswith("_mask"))[::3]
    for file in broken:
        file.write_bytes(b"no picture")
    there = [word for word in words if not word.startswith("corpus.root=")] + [f"corpus.root={root}"]
    code, result, stderr = run("corpus", *there)
    assert code == 2
    place = re.search(r"All of them: (\S+/quarantine\.parquet)", result["error"])
    assert place, stderr
    listed = {row["uri"] for row in pq.read_table(place[1]).to_pylist()}
    assert len(listed) == 8
    assert listed == set(map(str, broken))
    spoken = CliRunner().invoke(app, ["corpus", "build", *there, "corpus.max_bad_share=1"])
    assert spoken.exit_code == 0, spoken.stderr
    assert f"Images left out: {len(listed)}; " in spoken.stdout


def test_the_own_held_out_split_is_clean(
    built: Built,
) -> None:
    words, _, manifest = built
    code, result, _ = run("corpus", "check", *words)
    assert code == 0
    assert result["clean"]
    assert result["evaluated"] == sum(row["split"] == "test" for row in manifest) > 0
    assert result["evaluated"] + result["pretraining"] == 24
    spoken = CliRunner().invoke(app, ["corpus", "check", *words])
    assert spoken.exit_code == 0
    assert spoken.stdout.startswith("Clean: none of the")


def test_copies_and_near_duplicates_in_pretraining_fail_the_check(built: Built, tmp_path: Path) -> None:
    words, _, manifest = built
    seen = [Path(row["uri"]) for row in manifest if row["split"] != "test"]
    unseen = [Path(row["uri"]) for row in manifest if row["split"] == "test"]
    folder = tmp_path / "evaluation" / "[bold]x"
    folder.mkdir(parents=True)
    shutil.copy(unseen[0], folder / "fine.png")
    against = ["--against", str(tmp_path / "evaluation")]
    code, result, _ = run("corpus", "check", *words, *against)
    assert (code, result["clean"], result["pairs"]) == (0, True, [])
    shutil.copy(seen[0], folder / "copy.png")
    Image.fromarray((np.asarray(Image.open(seen[1])) * 0.8).astype(np.uint8)).save(folder / "dark.png")
    (folder / "broken.png").write_bytes(b"?")
    code, result, _ = run("corpus", "check", *words, *against)
    assert code == 2
    assert (result["evaluated"], result["exact"], result["near"]) == (3, 1, 1)
    pairs = [(Path(p["uri"]).name, p["pretraining_uri"], p["kind"]) for p in result["pairs"]]
    assert pairs == [("copy.png", str(seen[0]), "exact"), ("dark.png", str(seen[1]), "near")]
    assert [Path(row["uri"]).name for row in result["unreadable"]] == ["broken.png"]
    spoken = CliRunner().invoke(app, ["corpus", "check", *words, *against])
    assert spoken.exit_code == 2
    assert "sees 1 of the 3 evaluation images, and near-duplicates of 1 more" in spoken.stdout
    assert f"{folder / 'copy.png'} → {seen[0]}\n" in spoken.stdout
    assert f"{folder / 'dark.png'} → {seen[1]}\n" in spoken.stdout


def test_an_unreadable_evaluation_image_alone_fails_the_check(built: Built, tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "broken.png").write_bytes(b"?")
    code, result, _ = run("corpus", "check", *built[0], "--against", str(tmp_path / "evaluation"))
    assert (code, result["clean"], result["pairs"]) == (2, False, [])


def test_options_at_fault(words: list[str], tmp_path: Path) -> None:
    words = [words[0], f"workspace={tmp_path / 'w'}"]
    code, result, _ = run("corpus", "check", *words, "--against", str(tmp_path / "none"))
    assert code == 2
    assert "--against" in result["error"]
    assert "does not exist" in result["error"]
    code, result, _ = run("corpus", "check", *words, "--against", str(tmp_path), "--layout", "maks")
    assert code == 2
    assert "no such dataset layout" in result["error"]
    assert not (tmp_path / "w").exists()


def test_a_corpus_without_held_out_images(words: list[str]) -> None:
    code, result, _ = run("corpus", "check", *words[:2], "corpus.test_share=0")
    assert code == 2
    assert "--against FOLDER" in result["error"]


def test_words_that_start_no_command_build() -> None:
    for arguments in (
        ["corpus", "none.yaml"],
        ["corpus", "build", "none.yaml"],
        ["corpus", "check", "none.yaml"],
    ):
        code, result, _ = run(*arguments)
        assert code == 2
        assert "none.yaml" in result["error"]
    code, result, _ = run("corpus")
    assert "corpus.root is not set" in result["error"]
    shown = CliRunner().invoke(app, ["corpus", "--help"])
    assert shown.exit_code == 0
    assert "check" in shown.stdout


def test_a_folder_without_prompts_and_references_is_a_corpus(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    for number in range(3):
        path = tmp_path / "photos/part" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    words = [f"corpus.root={tmp_path / 'photos'}", f"workspace={tracked(tmp_path / 'w')}"]
    code, result, stderr = run("corpus", *words)
    assert code == 0, stderr
    assert [row["category"] for row in result["statistics"]] == ["part"]
    assert (result["results"]["images"], result["results"]["references"]) == (3, 0)
    code, result, _ = run("maps", *words)
    assert code == 2
    assert "normal reference images" in result["error"]
