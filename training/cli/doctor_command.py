"""`agssp doctor`: the ground's checks, and those of the weights that a project names."""

from collections.abc import Mapping
from typing import Any

import typer
from rich.markup import escape

from cluster.cli.command import USER_AT_FAULT, Json, Words, listing_table, out, run_command
from cluster.cli.projects import project_of

app = typer.Typer()


@app.command("doctor")
def doctor_command(words: Words = None, as_json: Json = False) -> None:
    """Say what this machine, the workspace, tracking, Ray and the weights can do."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from cluster.cli.doctor import doctor
        from training.cli.weight_probes import weight_probes

        return doctor(project, weight_probes(project))

    run_command(
        body,
        json_mode=as_json,
        render=render_doctor,
        exit_code=lambda result: 0 if result["ok"] else USER_AT_FAULT,
    )


def render_doctor(result: Mapping[str, Any]) -> None:
    """The doctor's findings for a person."""
    table = listing_table("", "what", "finding")
    for row in result["rows"]:
        mark = "[green]✓[/]" if row["ok"] else "[red]✗[/]"
        finding = row["detail"] + (f"\n→ {row['remedy']}" if row["remedy"] else "")
        table.add_row(mark, escape(row["what"]), escape(finding))
    out.print(table)
    out.print("All is well." if result["ok"] else "Something must be fixed first: see the lines marked ✗.")
