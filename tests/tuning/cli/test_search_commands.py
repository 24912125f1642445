"""The searches' commands: what they hand on, and what they load before they are run."""

import json
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.repository import ROOT
from tuning.cli.tune_commands import tune as app

MODULES = ("commands", "search_commands", "study_commands", "transfer_commands", "tune_commands")
HEAVY = ("torch", "ray", "numpy", "pyarrow", "pandas", "cv2", "mlflow", "optuna", "matplotlib")


def test_the_commands_modules_load_no_library_that_a_help_text_does_not_need() -> None:
    imports = "; ".join(f"import tuning.cli.{name}" for name in MODULES)
    code = f"import sys; {imports}; print(*(set(sys.modules) & set({HEAVY})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("command", "stage", "name"),
    [("pretrain", "backbone", "surfaces-pretrain"), ("finetune", "finetune", "surfaces-finetune")],
)
def test_every_option_reaches_the_request(
    monkeypatch: pytest.MonkeyPatch, command: str, stage: str, name: str
) -> None:
    seen: list[tuple[Any, bool, bool]] = []

    def run_search(request: Any, *, registers: bool, estimate_only: bool) -> dict[str, str]:
        seen.append((request, registers, estimate_only))
        return {"name": request.name, "estimate": "nothing"}

    monkeypatch.setattr("tuning.search.run_search", run_search)
    words = ["--search", f"{stage}.loop.lr=[0.1, 0.2]", "--search", f"{stage}.loop.epochs=2..4"]
    words += ["--metric", "finetune.map50", "--start", "scratch", "--name", "one", "--trials", "7"]
    words += ["--grid", "--scheduler", "asha", "--grace", "3", "--concurrent", "2", "--max-failures", "-1"]
    words += ["--hours", "1.5", "--gpu-hours", "2.5", "--register", "--estimate", "--json"]
    done = CliRunner().invoke(app, [command, *words])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1]) == {"name": "one", "estimate": "nothing"}
    plain = CliRunner().invoke(app, [command])
    assert plain.exit_code == 0, plain.output
    (request, registers, estimate), (default, *flags) = seen
    assert (request.stage, request.name, request.metric) == (stage, "one", "finetune.map50")
    assert [dimension.key for dimension in request.space] == [f"{stage}.loop.lr", f"{stage}.loop.epochs"]
    assert request.document["finetune"]["starts"] == ["scratch"]
    assert (request.trials, request.exhaustive, request.scheduler) == (7, True, "asha")
    assert (request.grace_epochs, request.concurrent, request.max_failures) == (3, 2, -1)
    assert (request.budget.hours, request.budget.gpu_hours) == (1.5, 2.5)
    assert registers
    assert estimate
    assert (default.stage, default.name, default.trials) == (stage, name, 20)
    assert (default.exhaustive, default.scheduler, default.grace_epochs) == (False, "none", 5)
    assert (default.concurrent, default.max_failures) == (None, 1)
    assert (default.budget.hours, default.budget.gpu_hours) == (None, None)
    assert flags == [False, False]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--scheduler", "pbt"], "--scheduler pbt is not offered"),
        (["--scheduler", "ash"], 'There is no scheduler "ash"'),
        (["--name", "a b"], '--name "a b" must be letters'),
    ],
)
def test_faults_are_one_sentence(words: list[str], fault: str) -> None:
    done = CliRunner().invoke(app, ["finetune", *words, "--json"])
    assert done.exit_code == 2
    assert fault in json.loads(done.stdout.splitlines()[-1])["error"]
