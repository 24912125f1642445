"""Commands: exit codes, one JSON line last, one sentence for the user's mistakes."""

import io
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Never

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from cluster.cli.command import listing_table, out, run_command
from cluster.errors import UserError
from cluster.progress import say
from tests.repository import ROOT


def invoke(body: Callable[[], Mapping[str, Any]], *words: str, **more: Any) -> Result:
    """A command with that body, run as from a shell."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command(as_json: bool = typer.Option(False, "--json")) -> None:
        run_command(body, json_mode=as_json, **more)

    return CliRunner().invoke(app, list(words))


def raising(error: BaseException) -> Callable[[], Never]:
    def body() -> Never:
        raise error

    return body


def test_json_is_the_last_line_and_strict() -> None:
    def body() -> Mapping[str, Any]:
        say("working")
        print("a chatty library")  # noqa: T201
        return {"ok": True, "map50": math.nan, "paths": (Path("/x"),), "nested": {1: math.inf}}

    result = invoke(body, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"ok": True, "map50": None, "paths": ["/x"], "nested": {"1": None}}
    assert result.stdout.count("\n") == 1
    assert "working" in result.stderr
    assert "a chatty library" in result.stderr


def test_people_get_a_table() -> None:
    result = invoke(lambda: {"images": 3, "starts": {"agssp": {"map50": 0.71234}}, "odd": "[red]x[/red]"})
    assert result.exit_code == 0
    for words in ("images", "starts.agssp.map50", "0.7123", "[red]x[/red]"):
        assert words in result.stdout


def test_render_replaces_the_table() -> None:
    result = invoke(lambda: {"n": 1}, render=lambda found: out.print(f"only {found['n']}"))
    assert result.stdout == "only 1\n"


def test_user_errors_are_one_sentence_and_exit_2() -> None:
    result = invoke(raising(UserError("The folder x\n is absent; make it.")))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "The folder x is absent; make it.\n"
    result = invoke(raising(UserError("No [bold]x[/bold].")), "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout.splitlines()[-1]) == {"error": "No [bold]x[/bold]."}


def test_a_user_error_from_a_ray_worker_is_unwrapped() -> None:
    class RayTaskError(UserError):
        """As Ray makes them: a traceback as text, the error itself as `cause`."""

        cause = UserError("The image x is gone.")

    result = invoke(raising(RayTaskError("Traceback (most recent call last): ...")))
    assert (result.exit_code, result.stderr) == (2, "The image x is gone.\n")


def test_an_interrupt_exits_130() -> None:
    result = invoke(raising(KeyboardInterrupt()), "--json")
    assert result.exit_code == 130
    assert "resumes" in json.loads(result.stdout)["error"]


def test_bugs_are_not_hidden() -> None:
    result = invoke(raising(ZeroDivisionError("bug")), "--json")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_finished_body_may_still_fail_the_command() -> None:
    result = invoke(lambda: {"ok": False}, "--json", exit_code=lambda found: 0 if found["ok"] else 2)
    assert (result.exit_code, json.loads(result.stdout)) == (2, {"ok": False})


def script(body: str, words: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, in a shell pipeline."""
    code = (
        "import sys; from cluster.cli.command import run_command\n"
        f"import typer; app = typer.Typer(pretty_exceptions_enable=False)\n"
        f"@app.command()\ndef c(): run_command(lambda: {body}, json_mode={'--json' in words})\napp()"
    )
    shell = f"'{sys.executable}' -c \"$CODE\" {words.replace('--json', '')}"
    return subprocess.run(
        ["bash", "-c", shell],
        env={"CODE": code, "PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "ascii", "HOME": "/tmp"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("mode", ["", "--json"])
def test_a_reader_that_left_is_no_error(mode: str) -> None:
    done = script("{'rows': ['x' * 100] * 9000}", f"{mode} | true; echo code ${{PIPESTATUS[0]}}")
    assert done.stdout.strip() == "code 0"
    assert done.stderr == ""


def test_names_that_no_terminal_shows_are_escaped() -> None:
    done = script("{'name': 'a\\udcffb→'}", "")
    assert done.returncode == 0, done.stderr
    assert "\\udcff" in done.stdout


def test_a_table_cuts_nothing_and_keeps_what_other_commands_take_in_one_line() -> None:
    job, command = "agssp-surface-finetune-0a1b2c3d", "finetune " + "z" * 300
    table = listing_table("job", "status", "exit", "started", "took", "command", whole=0)
    table.add_row(job, "SUCCEEDED", "0", "2026-01-01 10:00:00", "0:00:10", command)
    wide, narrow = io.StringIO(), io.StringIO()
    Console(file=wide, width=80).print(table)
    Console(file=narrow, width=40).print(table)
    assert job in wide.getvalue()
    for text in (wide.getvalue(), narrow.getvalue()):
        assert "…" not in text
        assert text.count("z") == 300
        first = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
        assert "".join(first) == job
