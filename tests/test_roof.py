"""The front door: what it lists, what it answers without a heavy library, and what hides its packages."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import agssp
from agssp import COMMANDS, app
from cluster.jobs.shipping import stage_code

ROOT = Path(agssp.__file__).parent
HEAVY = {"torch", "ray", "ultralytics", "transformers", "timm", "open_clip", "mlflow", "pandas"}
# Each line runs its words as `agssp` would, and tells which heavy libraries they brought.
SCRIPT = f"""
import json, sys
from typer.testing import CliRunner
from agssp import app
for line in sys.stdin:
    words = json.loads(line)
    code = CliRunner().invoke(app, words).exit_code
    print(json.dumps([words, code, sorted({HEAVY!r} & set(sys.modules))]), flush=True)
"""


def subcommands() -> list[list[str]]:
    """The words of every command and group."""
    root = typer.main.get_command(app)

    def below(command: object, words: list[str]) -> list[list[str]]:
        inner = getattr(command, "commands", {})
        return [words, *(path for name, one in inner.items() for path in below(one, [*words, name]))]

    with root.make_context("agssp", [], resilient_parsing=True) as context:
        return [path for name in COMMANDS for path in below(root.get_command(context, name), [name])]  # type: ignore[attr-defined]


def test_no_answer_about_the_users_words_brings_a_heavy_library(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    (labels / "good").mkdir(parents=True)
    studies = [path for path in subcommands() if path[0] == "study" and path[1:]]
    asked: list[tuple[list[str], int]] = [
        ([], 2),
        (["--help"], 0),
        (["--version"], 0),
        (["mapss"], 2),
        *(([*path, "--help"], 0) for path in subcommands()),
        *(
            ([*words, "wrong.key=1"], 2)
            for words in (["maps"], ["run"], ["corpus"], ["finetune"], ["report"])
        ),
        *(([*words, "wrong.key=1"], 2) for words in (["tune", "thresholds"], ["models", "list"], ["doctor"])),
        *(([*words, "wrong.key=1"], 2) for words in (["references"], ["view"], ["prompts", "list"])),
        (["maps", "backbone.name=resnet51x"], 2),
        (["maps", "detector.name=yolov8q"], 2),
        (["maps", str(tmp_path / "missing.yaml")], 2),
        (["maps", "recipe:nothing"], 2),
        (["corpus", f"corpus.root={tmp_path / 'missing'}"], 2),
        (["corpus", "check", f"corpus.root={tmp_path / 'missing'}"], 2),
        (["pretrain", "detector", f"corpus.root={tmp_path / 'missing'}"], 2),
        (["finetune", "generate={}", f"finetune.data.train.root={tmp_path / 'missing'}"], 2),
        (["references", f"corpus.root={tmp_path / 'missing'}"], 2),
        (["predict", str(tmp_path / "missing"), "--model", "line@champion"], 2),
        (["loop"], 2),
        (["loop", f"active_learning.images={tmp_path / 'missing'}"], 2),
        (["loop", "--show", f"workspace={tmp_path / 'missing'}"], 0),
        (["serve", "line@champion", "serve.prot=80"], 2),
        (["serve", "line@champion", f"workspace={tmp_path / 'missing'}"], 2),
        (["study", "transfer", str(tmp_path / "missing")], 2),
        (["study", "gain", str(tmp_path / "missing")], 2),
        (["study", "gain", str(tmp_path / "missing"), "--plan"], 2),
        (["recipes", "--json"], 0),
        (["prompts", "list"], 0),
        (["prompts", "show", "rail"], 0),
        (["prompts", "show", "nothing"], 2),
        *(
            ([*path, "--plan"], 0)
            for path in studies
            if path[1] not in ("transfer", "gain", "fig7-threshold")
        ),
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="".join(f"{json.dumps(words)}\n" for words, _ in asked),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(asked) > 60
    for (words, code), (_, got, heavy) in zip(asked, answers, strict=True):
        assert heavy == [], words
        assert got == code, words


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_page_says_what_the_command_says(name: str) -> None:
    root = typer.main.get_command(app)
    with root.make_context("agssp", ["doctor"], resilient_parsing=True) as context:
        command = root.get_command(context, name)  # type: ignore[attr-defined]
    assert command.name == name
    assert COMMANDS[name].help


def test_the_help_page_lists_every_command_in_its_panel_within_one_screen() -> None:
    page = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).stdout
    places = [page.index(f"─ {panel} ") for panel in ("Look", "Make", "Find", "Run")]
    assert places == sorted(places)
    assert all(f" {name} " in page for name in COMMANDS)
    assert len(page.splitlines()) <= 50


def test_a_former_name_says_what_to_use_instead_and_is_not_listed() -> None:
    result = CliRunner().invoke(app, ["encoder", "train", "--steps", "0"])
    assert result.exit_code == 2
    assert "agssp train encoder" in result.stderr
    assert "│ encoder" not in CliRunner().invoke(app, ["--help"]).stdout


def test_the_version_is_the_installed_one() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"agssp {version('agssp')}\n"
    assert agssp.__version__ == version("agssp")


def test_the_shell_that_asks_gets_a_script_that_completes_commands() -> None:
    # Typer looks for the shell among the process's ancestors, so there has to be one.
    script = """
        eval "$("$1" --show-completion)"
        COMP_WORDS=(agssp ma) COMP_CWORD=1
        PATH="$(dirname "$1"):$PATH" _agssp_completion agssp
        echo "${COMPREPLY[@]}"
    """
    told = subprocess.run(
        ["bash", "-c", script, "bash", str(Path(sys.executable).with_name("agssp"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.split() == ["maps"], told.stderr


@pytest.mark.parametrize("package", agssp.PACKAGES)
def test_a_file_that_hides_a_package_is_named(package: str, tmp_path: Path) -> None:
    (tmp_path / f"{package}.py").write_text("mine = 1\n")
    told = subprocess.run(
        [sys.executable, "-c", "import agssp"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    sentence = told.stderr.splitlines()[-1]
    assert sentence.startswith(f"ImportError: {tmp_path / package}.py hides the package {package}")
    as_program = subprocess.run(
        [sys.executable, "-m", "agssp", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert as_program.returncode == 2
    assert len(as_program.stderr.splitlines()) == 1
    assert f"{package}.py hides" in as_program.stderr


def test_a_job_has_a_folder_for_each_package_and_still_names_what_hides_one(
    tmp_path: Path,
) -> None:
    folders = [tmp_path / f"package_{number}" for number in range(len(agssp.PACKAGES) + 1)]
    for folder, path in zip(folders, stage_code(tmp_path / "code", wheel=None), strict=False):
        shutil.copytree(path, folder / Path(path).name)
    places = {"PYTHONPATH": os.pathsep.join(map(str, folders))}

    def version_told() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "agssp", "--version"]
        return subprocess.run(
            words, cwd=tmp_path, env=os.environ | places, capture_output=True, text=True, check=False
        )

    assert version_told().stdout == f"agssp {version('agssp')}\n", version_told().stderr
    (tmp_path / "pipelines.py").write_text("mine = 1\n")
    assert "pipelines.py hides the package pipelines" in version_told().stderr


DRIVER = """
import ray, sys

@ray.remote
def importing():
    try:
        import agssp
    except ImportError as error:
        return str(error)
    return "nothing is hidden"

job = {"working_dir": sys.argv[1]}
ray.init("local", num_cpus=1, num_gpus=0, object_store_memory=100 << 20, runtime_env=job)
print(ray.get(importing.remote()))
"""


@pytest.mark.ray
def test_on_a_worker_too(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "training.py").write_text("mine = 1\n")
    driver = tmp_path / "driver.py"  # a script of its own, so that the repository isn't first on the path
    driver.write_text(DRIVER)
    done = subprocess.run(
        [sys.executable, str(driver), str(tmp_path / "job")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert "training.py hides the package training" in done.stdout
