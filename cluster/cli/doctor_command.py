"""The commands of the ground: the doctor."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from cluster.cli.command import USER_AT_FAULT, Json, Words, out, run_command
from cluster.cli.doctor import Ground, Probe, doctor


def ground_commands(
    resolve: Callable[[list[str] | None], Ground], weights: Callable[[Any], Iterable[Probe]]
) -> typer.Typer:
    """The app with `doctor`.

    Args:
        resolve: makes the project's config of a command line's words.
        weights: checks the weights a project names, for the doctor.
    """
    app = typer.Typer()

    @app.command("doctor")
    def doctor_command(words: Words = None, as_json: Json = False) -> None:
        """Say what this machine, the workspace, tracking, Ray and the weights can do."""

        def body() -> Mapping[str, Any]:
            ground = resolve(words)
            return doctor(ground, weights(ground))

        run_command(
            body,
            json_mode=as_json,
            render=render_doctor,
            exit_code=lambda result: 0 if result["ok"] else USER_AT_FAULT,
        )

    return app


def render_doctor(result: Mapping[str, Any]) -> None:
    """The doctor's findings for a person."""
    table = Table("", "what", "finding")
    for row in result["rows"]:
        mark = "[green]✓[/]" if row["ok"] else "[red]✗[/]"
        finding = row["detail"] + (f"\n→ {row['remedy']}" if row["remedy"] else "")
        table.add_row(mark, escape(row["what"]), escape(finding))
    out.print(table)
    out.print("All is well." if result["ok"] else "Something must be fixed first: see the lines marked ✗.")
