"""Every fault of the user's input: one sentence that names it and the remedy, exit 2, nothing written."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from agssp import app


def run(*words: str) -> tuple[int, str, dict[str, str]]:
    """Exit code, the sentence on stderr, the JSON on stdout."""
    result = CliRunner().invoke(app, [*words, "--json"])
    return result.exit_code, result.stderr.strip(), json.loads(result.stdout.strip().splitlines()[-1])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A category of the `folder` layout with one reference."""
    rng = np.random.default_rng(0)
    for name in ("steel_sheet/1.png", "steel_sheet/2.png", "steel_sheet/references/3.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def expect(code_and_output: tuple[int, str, dict[str, str]], *parts: str) -> None:
    code, sentence, document = code_and_output
    assert code == 2, sentence
    assert "Traceback" not in sentence
    assert len(sentence.splitlines()) == 1
    for part in parts:
        assert part in document["error"]


def test_unknown_key(tmp_path: Path) -> None:
    told = 'Override corpus.rot: unknown key; did you mean "root"?'
    expect(run("run", "corpus.rot=x", f"workspace={tmp_path / 'w'}"), told)
    assert not (tmp_path / "w").exists()


def test_unknown_key_in_a_file(tmp_path: Path) -> None:
    config = tmp_path / "p.yaml"
    config.write_text("maps:\n  kead:\n    shot: 2\n")
    expect(run("maps", str(config)), str(config), '"maps.kead.shot"', '"shots"')


def test_unreadable_configs(tmp_path: Path) -> None:
    expect(run("run", str(tmp_path / "none.yaml")), "none.yaml", "can't be read")
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1")
    expect(run("run", str(bad)), "not valid YAML")
    expect(run("run", "recipe:magnetic-tyle"), 'did you mean "magnetic-tile"?')


@pytest.mark.parametrize("value", ["!!int ''", "!!bool abc", "!!set {a}", "9" * 4300, "1" + ":59" * 100])
@pytest.mark.parametrize("command", ["corpus", "tune finetune", "study table2"])
def test_values_that_no_key_takes(command: str, value: str, tmp_path: Path) -> None:
    config = tmp_path / "p.yaml"
    config.write_text(f"name: line\nseed: {value}\n")
    expect(run(*command.split(), str(config)), "p.yaml", '"seed" on line 2')
    expect(run(*command.split(), f"seed={value}"), "Override seed")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["study", "transfer", "photos", "transfer=3"], '"transfer" must hold settings'),
        (["study", "fig7-threshold", "corpus=3"], '"corpus" must hold settings'),
        (["study", "table2", "corpus=3"], "Override corpus: "),
        (["tune", "finetune", "finetune=3"], "Override finetune: "),
        (["tune", "finetune", "--search", "seed=!!int ''"], 'Search seed: "" is no !!int'),
        (["tune", "finetune", "--search", f"seed=1..{'9' * 400}"], "must give numbers"),
        (["tune", "finetune", "--search", "finetune.loop.lr=[.nan]"], "finite number"),
        (["tune", "finetune", "--search", "finetune.data=[{1: a, b: c}]"], '"finetune.data'),
        (["finetune", "finetune.loop.warmup_epochs=.inf"], "finite number"),
    ],
)
def test_settings_of_another_kind(words: list[str], told: str) -> None:
    expect(run(*words), told)


def test_missing_and_empty_folder(tmp_path: Path) -> None:
    workspace = f"workspace={tmp_path / 'w'}"
    expect(run("run", workspace), "corpus.root is not set")
    expect(run("run", f"corpus.root={tmp_path / 'none'}", workspace), "does not exist", "corpus.root")
    (tmp_path / "empty").mkdir()
    expect(run("corpus", f"corpus.root={tmp_path / 'empty'}", workspace), "holds no image")
    assert not (tmp_path / "w").exists()


def test_category_without_references(photos: Path, tmp_path: Path) -> None:
    result = run("run", f"corpus.root={photos}", f"workspace={tmp_path / 'w'}")
    expect(result, '"steel_sheet" has 1 normal reference', "steel_sheet/references", "maps.kead.shots=0")
    assert not (tmp_path / "w").exists()


def test_category_without_prompts(photos: Path, tmp_path: Path) -> None:
    (photos / "steel_sheet").rename(photos / "gizmo")
    result = run("run", f"corpus.root={photos}", "maps.kead.shots=1", f"workspace={tmp_path / 'w'}")
    expect(result, '"gizmo"', "categories.gizmo")


def test_weights_that_do_not_fit(photos: Path, tmp_path: Path) -> None:
    workspace = f"workspace={tmp_path / 'w'}"
    base = [f"corpus.root={photos}", "maps.kead.shots=1", workspace]
    expect(run("run", *base, "maps.encoder.model=ViT-B-99"), "ViT-B-99", "did you mean")
    expect(
        run("run", *base, "maps.encoder.model=ViT-B-32", f"maps.encoder.weights={tmp_path}/no.pt"), "no.pt"
    )
    expect(run("run", *base, f"backbone.start={tmp_path}/no.safetensors"), "no.safetensors", "does not exist")
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"\xff" * 64)
    expect(run("run", *base, f"backbone.start={junk}"), "junk.safetensors")
    from safetensors.torch import save_file
    from torch import ones

    save_file({"other.weight": ones(3)}, junk)
    expect(run("run", *base, f"backbone.start={junk}"), "junk.safetensors")
    assert not (tmp_path / "w").exists()


def test_workspace_that_cannot_be_written(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("run", f"corpus.root={photos}", "maps.kead.shots=1", f"workspace={tmp_path / 'file' / 'w'}")
    expect(result, "can't be written", "workspace=DIR")


def test_unreachable_tracking_server(photos: Path, tmp_path: Path) -> None:
    result = run(
        "run",
        f"corpus.root={photos}",
        "maps.kead.shots=1",
        f"workspace={tmp_path / 'w'}",
        "tracking.uri=http://127.0.0.1:9",
    )
    expect(result, "127.0.0.1:9")


def test_the_faulty_one_of_two_configs_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("seed: 1")
    (tmp_path / "b.yaml").write_text("boxes: {d: 1}")
    expect(run("run", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")), "b.yaml", '"boxes.d"')


@pytest.mark.slow
def test_the_installed_command_says_one_sentence() -> None:
    command = [str(Path(sys.executable).parent / "agssp"), "run", "corpus.root=/does/not/exist"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "/does/not/exist does not exist" in done.stderr
