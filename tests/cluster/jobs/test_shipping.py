"""What is shipped with a job: words that stay words, no secret, code and configs."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st

from cluster.errors import UserError
from cluster.jobs.shipping import (
    check_configs,
    check_words,
    entrypoint,
    environment,
    requirements,
    stage_code,
    stage_configs,
)
from tests.repository import ROOT

HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned #",
    "&& touch pwned",
    "| touch pwned",
    "> pwned",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "\n touch pwned \n",
    "~",
    "*",
    "",
    "a=$HOME",
    "--option=\\",
    "!!",
]
WORDS = st.lists(
    st.one_of(
        st.sampled_from(HOSTILE),
        st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(WORDS)
@example(HOSTILE)
def test_a_shell_gives_back_the_very_words(words: list[str]) -> None:
    line = entrypoint(words)
    assert shlex.split(line) == ["python", "-m", "agssp", *words]
    shown = line.replace("python -m agssp", "printf '%s\\0'", 1)
    told = subprocess.run(["/bin/sh", "-c", shown], capture_output=True, check=True, cwd="/").stdout
    assert told == b"".join(word.encode() + b"\0" for word in words)


def test_no_words_and_nul_are_refused() -> None:
    with pytest.raises(UserError, match="Give the command"):
        entrypoint([])
    with pytest.raises(UserError, match="NUL"):
        entrypoint(["maps", "a\0b"])


@pytest.mark.parametrize(
    "word",
    [
        "tracking.uri=postgresql://mlflow:hush@db/mlflow",
        "https://user:hush@host/x",
        "workspace=s3://key:hush@bucket/x",
        "a=http://u:hush@[broken",
    ],
)
def test_words_with_a_password_are_refused_without_telling_it(word: str) -> None:
    with pytest.raises(UserError, match="holds a password") as caught:
        check_words(["maps", word])
    assert "hush" not in str(caught.value)


def test_other_words_pass() -> None:
    check_words(["maps", "a@b", "s3://bucket/x", "tracking.uri=http://mlflow:5000", "k=v:w@x"])


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["AWS_SECRET_ACCESS_KEY=hush"], "looks like a secret"),
        (["db_password=hush"], "looks like a secret"),
        (["RAY_AUTH_TOKEN"], "looks like a secret"),
        (["PGPASSWORD=hush"], "looks like a secret"),
        (["AZURE_STORAGE_ACCOUNT_KEY=hush"], "looks like a secret"),
        (["URI=postgresql://u:hush@h/d"], "looks like a secret"),
        (["A-B=1"], "must read NAME=VALUE"),
        (["=1"], "must read NAME=VALUE"),
        (["NOT_HERE"], "isn't set in this environment"),
        (["A=\0"], "NUL"),
    ],
)
def test_environments_that_are_refused(pairs: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        environment(pairs, {"RAY_AUTH_TOKEN": "hush"})
    assert "hush" not in str(caught.value)


def test_the_environment_is_what_was_asked_for_and_quiet() -> None:
    found = environment(
        ["A=x=y; z", "HERE", "TOKENIZERS_PARALLELISM=false"], {"HERE": "there", "OTHER": "no"}
    )
    assert (found["A"], found["HERE"]) == ("x=y; z", "there")
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "OTHER" not in found


def test_requirements_are_read_as_a_lock_writes_them(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# made by uv\na==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via b\nb==2 # c\n\n"
    )
    assert requirements(lock) == {
        "packages": ["a==1 --hash=sha256:00 --hash=sha256:11", "b==2"],
        "uv_pip_install_options": ["--require-hashes"],
    }
    lock.write_text("a\n")
    assert requirements(lock)["uv_pip_install_options"] == []
    lock.write_text("# nothing\n")
    with pytest.raises(UserError, match="names no package"):
        requirements(lock)
    with pytest.raises(UserError, match="can't be read"):
        requirements(tmp_path / "absent")


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_our_own_locks_are_read_whole(name: str) -> None:
    lock = ROOT / name
    found = requirements(lock)
    pinned = re.findall(r"^[A-Za-z0-9_.\[\]-]+==", lock.read_text(), flags=re.MULTILINE)
    assert len(found["packages"]) == len(pinned) > 50
    assert all("--hash=sha256:" in package for package in found["packages"])


def pins(name: str) -> dict[str, str]:
    """Versions by package, of a lock."""
    words = [package.split()[0].partition("==") for package in requirements(ROOT / name)["packages"]]
    return {package.partition("[")[0]: version for package, _, version in words}


def test_users_install_what_is_tested_and_no_tool_of_the_developers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tools = {re.split(r"[\[><=]", line)[0].lower() for line in project["optional-dependencies"]["dev"]}
    needed = {re.split(r"[\[><=]", line)[0].lower().replace("_", "-") for line in project["dependencies"]}
    users, developers = pins("requirements.lock"), pins("requirements-dev.lock")
    assert users.items() < developers.items()
    assert needed <= set(users)
    assert tools <= set(developers)
    brought = {"jsonschema", "markdown-it-py", "networkx"}  # by ray, rich and torch
    assert tools & set(users) <= brought


def test_the_code_is_shipped_whole_and_runs(tmp_path: Path) -> None:
    modules = [Path(module) for module in stage_code(tmp_path / "code", None)]
    packages = {"cluster", "pipelines", "training", "tuning", "agssp"}
    assert packages < {module.name for module in modules}
    assert all(module.is_dir() for module in modules)  # Ray takes nothing else
    ran = subprocess.run(
        [sys.executable, "-m", "agssp", "recipes", "--json"],
        cwd=tmp_path / "code",
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "demo" in json.loads(ran.stdout)["recipes"]
    (known,) = metadata.distributions(path=[str(tmp_path / "code")])
    assert (known.name, known.version) == ("agssp", metadata.version("agssp"))
    assert (tmp_path / "code/pipelines/encoder/weights/surface-clip/open_clip_model.safetensors").is_file()
    assert not list((tmp_path / "code").rglob("__pycache__"))


def test_a_wheel_is_shipped_in_its_stead(tmp_path: Path) -> None:
    wheel = tmp_path / "agssp-9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for package in ("cluster", "pipelines", "training", "tuning"):
            archive.writestr(f"{package}/__init__.py", "")
        archive.writestr("agssp.py", "print(9)")
        archive.writestr("agssp-9.dist-info/METADATA", "Name: agssp")
        archive.writestr("../../climbed", "out")
    (tmp_path / "below" / "deep").mkdir(parents=True)
    modules = stage_code(tmp_path / "below" / "deep" / "code", wheel)
    assert (Path(modules[4]) / "__init__.py").read_text() == "print(9)"
    assert modules[5].endswith("/agssp-9.dist-info")
    assert not (tmp_path / "climbed").exists()
    assert not (tmp_path / "below" / "climbed").exists()
    (tmp_path / "text.whl").write_text("no zip")
    with pytest.raises(UserError, match="can't be read"):
        stage_code(tmp_path / "a", tmp_path / "text.whl")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other.py", "")
    with pytest.raises(UserError, match="no wheel of agssp"):
        stage_code(tmp_path / "b", tmp_path / "other.whl")


def test_configs_go_along_under_their_new_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a b.yaml").write_text("name: x")
    words = stage_configs(tmp_path / "work", ["maps", "a b.yaml", "k=a b.yaml", "recipe:demo", "absent.yaml"])
    assert words == ["maps", "configs/1-a b.yaml", "k=a b.yaml", "recipe:demo", "absent.yaml"]
    assert (tmp_path / "work" / words[1]).read_text() == "name: x"
    with pytest.raises(UserError, match="is not in"):
        check_configs(tmp_path / "work", ["maps", "a b.yaml"])
    check_configs(tmp_path, ["maps", "a b.yaml"])
    with pytest.raises(UserError, match="no folder"):
        check_configs(tmp_path / "nowhere", [])
