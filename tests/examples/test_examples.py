"""The examples run as they are, at small sizes."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.images import read_image
from pipelines.surfaces import write_corpus

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = [
    "generate.images_per_category=24",
    "generate.size=64",
    "generate.defect_share=0.8",
    "backbone.image_size=64",
    "backbone.loop.epochs=1",
    "detector.image_size=64",
    "detector.loop.epochs=1",
    "finetune.image_size=64",
    "finetune.loop.epochs=1",
    "finetune.loop.eval_every=1",
    "finetune.starts=[scratch, agssp]",
    "report.gallery=2",
    "report.examples=1",
]


def example(name: str) -> dict[str, Any]:
    """What an example defines."""
    return runpy.run_path(str(EXAMPLES / name))


@pytest.mark.parametrize("script", ["exported_detector.py", "exported_maps.py"])
def test_the_examples_of_exported_files_read_an_image_as_agssp_does_or_not_at_all(
    script: str, tmp_path: Path
) -> None:
    read = example(script)["upright_rgb"]
    colours = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))
    sideways = Image.Exif()
    sideways[274] = 6
    colours.quantize(64).save(tmp_path / "palette.png")
    colours.convert("L").save(tmp_path / "grey.png")
    for suffix in ("png", "tiff"):
        colours.save(tmp_path / f"sideways.{suffix}", exif=sideways)
    for name in ("palette.png", "grey.png", "sideways.png", "sideways.tiff"):
        file = str(tmp_path / name)
        np.testing.assert_array_equal(read(file), read_image(file))
    colours.convert("RGBA").save(tmp_path / "clear.png")
    colours.convert("LA").save(tmp_path / "clear_grey.png")
    colours.quantize(64).save(tmp_path / "clear_palette.png", transparency=3)
    Image.fromarray(np.zeros((40, 64), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "none.png").write_bytes(b"")
    for name in ("clear.png", "clear_grey.png", "clear_palette.png", "deep.png", "none.png"):
        with pytest.raises(SystemExit, match="only images of 8 bits without"):
            read(str(tmp_path / name))


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        *("three_maps.py", "whole_run.py"),
        "exported_maps.py",  # tests/training/cli/test_export_commands.py runs it
        "exported_detector.py",  # tests/training/export/test_nms_file.py runs it
    }


def test_three_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(tmp_path, seed=3, images_per_category=8, size=64, defect_share=0.5, categories=["casting"])
    found = sorted(path for path in (tmp_path / "casting").rglob("*.png") if "mask" not in path.name)
    folder = tmp_path / "photos"
    (folder / "references").mkdir(parents=True)
    for number, path in enumerate(found[:7]):
        path.rename((folder / "references" if number < 4 else folder) / f"{number}.png")
    example("three_maps.py")["main"](folder, "casting")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": score ")[0] for line in lines] == ["4.png", "5.png", "6.png"]
    assert {path.name for path in folder.glob("*.map.png")} == {"4.map.png", "5.map.png", "6.map.png"}


@pytest.mark.slow
def test_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["recipe:demo", f"workspace={tmp_path}", *SMALL]
    example("whole_run.py")["main"](words)
    lines = capsys.readouterr().out.splitlines()
    heads = ["corpus", "maps", "boxes", "backbone", "detector", "scratch", "agssp", "report", "model"]
    assert [line.partition(":")[0].strip() for line in lines] == heads
    (report,) = [line.split()[1] for line in lines if line.startswith("report")]
    assert Path(report.removeprefix("file://")).is_file()
    assert lines[-1].endswith("demo-finetune-yolov8n@1")
