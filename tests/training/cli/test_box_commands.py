"""`agssp boxes export` and `agssp predict --to`: their options, and an export of surfaces on Ray."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agssp import app
from pipelines.surfaces.generator import write_corpus


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON on stdout, stderr."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--force"], "Name the format to write: --to label-studio, cvat"),
        (["--to", "cvatt", "--out", "x"], 'There is no format "cvatt"; did you mean "cvat"?'),
        (["--to", "cvat"], "Name a folder for the cvat files: --out FOLDER"),
        (["--to", "cvat", "--out", "s3://bucket/x"], "is no local folder"),
        (["--to", "cvat", "--out", "a-file"], "--out a-file is no folder"),
        (
            ["--to", "cvat", "--out", "x", "--images", "move"],
            "--images move is unknown; valid: link, copy, none",
        ),
        (["--to", "cvat", "--out", "x", "--yolo-scores"], "--yolo-scores is for --to yolo"),
        (["--to", "cvat", "--out", "x", "--image-url", "http://x"], "--image-url is for --to label-studio"),
        (["--to", "cvat", "--out", "x", "--label", "a\tb"], "'a\\tb' is no class name"),
    ],
)
@pytest.mark.parametrize("command", [["boxes", "export"], ["predict", "photos", "--model", "m@1"]])
def test_options_at_fault(
    command: list[str], options: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a-file").write_text("")
    code, result, _ = run(*command, *options)
    assert code == 2
    assert reason in result["error"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-file"]


def test_photographs_that_predict_does_not_read_are_told_once(tmp_path: Path) -> None:
    write_corpus(tmp_path, seed=0, images_per_category=8, size=32, defect_share=0.5, categories=["rail"])
    (tmp_path / "rail/old.gif").write_bytes(b"GIF89a")
    code, _, stderr = run("predict", str(tmp_path), "--model", str(tmp_path / "none.safetensors"))
    assert code == 2
    assert stderr.count("left out: 1 photographs of kinds that are not read") == 1


def test_an_export_needs_a_format() -> None:
    code, result, _ = run("boxes", "export")
    assert (code, result["error"][:24]) == (2, "Name the format to write")


def test_words_that_start_no_command_build() -> None:
    for words in (["boxes", "none.yaml"], ["boxes", "build", "none.yaml"]):
        code, result, _ = run(*words)
        assert code == 2
        assert "none.yaml" in result["error"]


@pytest.mark.slow
def test_pseudo_boxes_go_out_and_come_back(tracked: Callable[[Path], Path], tmp_path: Path) -> None:
    write_corpus(
        tmp_path / "photos", seed=3, images_per_category=16, size=64, defect_share=0.5, categories=["rail"]
    )
    words = [f"corpus.root={tmp_path / 'photos'}", f"workspace={tracked(tmp_path / 'w')}"]
    code, made, stderr = run("boxes", *words)
    assert code == 0, stderr
    code, result, stderr = run("boxes", "export", *words, "--to", "coco", "--out", str(tmp_path / "out"))
    assert code == 0, stderr
    assert result["fingerprint"] == made["fingerprint"]
    assert result["relative_to"] == str(tmp_path / "photos")
    assert (result["images"], result["boxes"]) == (made["results"]["images"], made["results"]["boxes"])
    written = json.loads((tmp_path / "out/coco.json").read_text())
    kept = json.loads((Path(made["directory"]) / "coco.json").read_text())
    assert [str(tmp_path / "photos" / image["file_name"]) for image in written["images"]] == [
        image["file_name"] for image in kept["images"]
    ]
    assert written["annotations"] == kept["annotations"]
    back = [f"corpus.root={tmp_path / 'out'}", "corpus.layout=coco", "corpus.follow_links=true"]
    back += [words[1], "maps.kead.shots=0"]
    code, corpus, stderr = run("corpus", *back)
    assert code == 0, stderr
    assert (corpus["results"]["images"], corpus["results"]["layout"]) == (len(written["images"]), "coco")
    code, result, _ = run("boxes", "export", *words, "--to", "coco", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "coco.json exists already" in result["error"]
