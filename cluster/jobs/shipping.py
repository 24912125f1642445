"""A job takes code, configs and environment to a cluster; secrets it must not take are refused."""

import re
import shlex
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.privacy import QUIET_ENVIRONMENT
from cluster.storage import has_secret

PACKAGES = ("cluster", "pipelines", "training", "tuning")
ROOF = "agssp.py"
CONFIG_SUFFIXES = (".yaml", ".yml")
CONFIGS = "configs"
MAX_WHEEL_BYTES = 256 << 20
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET = re.compile(
    r"SECRET|PASSWORD|PASSWD|CREDENTIAL|(ACCESS|API|PRIVATE|ACCOUNT)_?KEY|(^|_)TOKEN(_|$)", re.IGNORECASE
)


def entrypoint(words: Sequence[str]) -> str:
    """The job's shell line; every word of the user's is quoted.

    Raises:
        UserError: no word, or one that no shell line can hold.
    """
    if not words:
        raise UserError("Give the command to submit, e.g. agssp submit run project.yaml.")
    if any("\0" in word for word in words):
        raise UserError("A command's words can't hold a NUL character.")
    return shlex.join(["python", "-m", "agssp", *words])


def check_words(words: Sequence[str]) -> None:
    """Refuse words with a password: a job's command is shown to whoever sees the cluster.

    Raises:
        UserError: naming the word's key, never its value.
    """
    for word in words:
        key, equals, value = word.partition("=")
        subject = key if equals else "A word of the command"
        if has_secret(value if equals else word):
            raise UserError(
                f"{subject} holds a password, and a job's command is shown on the dashboard; put it into the "
                "environment of the cluster's nodes (MLFLOW_TRACKING_PASSWORD, PGPASSWORD, AWS_…)."
            )


def environment(pairs: Sequence[str], here: Mapping[str, str]) -> dict[str, str]:
    """The job's environment variables from `NAME=VALUE` or `NAME` (taken from `here`) words.

    Raises:
        UserError: not a name, not set here, or a secret, which would be in the job's metadata.
    """
    variables = dict(QUIET_ENVIRONMENT)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not NAME.fullmatch(name):
            raise UserError(f'--env "{name}" must read NAME=VALUE, or NAME to take it from this environment.')
        if not equals:
            if name not in here:
                raise UserError(f"--env {name}: it isn't set in this environment; write {name}=VALUE.")
            value = here[name]
        if SECRET.search(name) or has_secret(value):
            raise UserError(
                f"--env {name} looks like a secret, and whoever sees the cluster sees a job's environment; "
                "put it into the environment of the cluster's nodes (see cluster/deploy/README.md)."
            )
        if "\0" in value:
            raise UserError(f"--env {name}: a value can't hold a NUL character.")
        variables[name] = value
    return variables


def requirements(file: Path) -> dict[str, Any]:
    """Ray's `uv` entry of a requirements file; with hashes every package must match its own.

    Raises:
        UserError: no such file, or nothing in it.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--requirements {file} can't be read: {_reason(error)}.") from None
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in text.replace("\\\n", " ").splitlines()]
    packages = [" ".join(line.split()) for line in lines if line.strip()]
    if not packages:
        raise UserError(f"--requirements {file} names no package.")
    hashed = ["--require-hashes"] if any("--hash=" in package for package in packages) else []
    return {"packages": packages, "uv_pip_install_options": hashed}


def stage_code(folder: Path, wheel: Path | None) -> list[str]:
    """Copy agssp's own modules, or a wheel's, into `folder`; the paths of modules to ship.

    Raises:
        UserError: not a wheel of agssp.
    """
    folder.mkdir(parents=True)
    if wheel is None:
        home = Path(str(resources.files("cluster"))).parent
        for package in PACKAGES:
            shutil.copytree(home / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(home / ROOF, folder / ROOF)
        version = metadata.version("agssp")
        about = folder / f"agssp-{version}.dist-info"  # stage.json tells the version
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: agssp\nVersion: {version}\n")
    else:
        _unpack(wheel, folder)
    about_us = [path.name for path in folder.glob("agssp-*.dist-info")]
    # Ray ships directories alone: the roof goes as a package that runs as the module does.
    roof = folder / Path(ROOF).stem
    roof.mkdir()
    (folder / ROOF).rename(roof / "__init__.py")
    (roof / "__main__.py").write_text(f"from {roof.name} import main\n\nmain()\n")
    return [str(folder / name) for name in (*PACKAGES, roof.name, *about_us)]


def _unpack(wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_WHEEL_BYTES:
                raise UserError(f"--wheel {wheel} unpacks to more than {MAX_WHEEL_BYTES >> 20} MiB.")
            archive.extractall(folder)  # drops absolute and climbing paths
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"--wheel {wheel} can't be read: {_reason(error)}.") from None
    missing = [name for name in (*PACKAGES, ROOF) if not (folder / name).exists()]
    if missing:
        raise UserError(f"--wheel {wheel} is no wheel of agssp: it lacks {missing[0]}.")


def stage_configs(folder: Path, words: Sequence[str]) -> list[str]:
    """Copy the configs that the words name into `folder`; the words as they read there."""
    (folder / CONFIGS).mkdir(parents=True)
    shipped = []
    for number, word in enumerate(words):
        file = Path(word)
        if "=" not in word and file.suffix in CONFIG_SUFFIXES and file.is_file():
            place = f"{CONFIGS}/{number}-{file.name}"
            shutil.copy(file, folder / place)
            word = place
        shipped.append(word)
    return shipped


def check_configs(folder: Path, words: Sequence[str]) -> None:
    """Configs must lie in the directory that is shipped.

    Raises:
        UserError: naming the first that doesn't.
    """
    if not folder.is_dir():
        raise UserError(f"--directory {folder} is no folder.")
    for word in words:
        if "=" not in word and Path(word).suffix in CONFIG_SUFFIXES and not (folder / word).is_file():
            raise UserError(f"{word} is not in {folder}, which is what the job sees; give a path below it.")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
