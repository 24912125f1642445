"""The commands of the ground: registered models, and the doctor."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cluster.command import USER_AT_FAULT, Json, Words, out, run_command
from cluster.doctor import Ground, Probe, doctor
from cluster.registry import list_models, show_model
from cluster.storage import Storage
from cluster.tracking import Tracker


def ground_commands(
    resolve: Callable[[list[str] | None], Ground], weights: Callable[[Any], Iterable[Probe]]
) -> typer.Typer:
    """The app with `models list`, `models show` and `doctor`.

    Args:
        resolve: makes the project's config of a command line's words.
        weights: checks the weights a project names, for the doctor.
    """
    app = typer.Typer()
    models = typer.Typer(no_args_is_help=True, help="Registered models.")
    app.add_typer(models, name="models")

    @models.command("list")
    def list_command(words: Words = None, as_json: Json = False) -> None:
        """All registered models, with versions and aliases."""
        run_command(lambda: model_list(resolve(words)), json_mode=as_json, render=render_models)

    @models.command("show")
    def show_command(
        name: Annotated[str, typer.Argument(help="Of the model, as `models list` shows it.")],
        words: Words = None,
        version: Annotated[
            str | None, typer.Option("--version", help="A number or an alias; the newest by default.")
        ] = None,
        as_json: Json = False,
    ) -> None:
        """One version of a model with its whole lineage."""
        run_command(lambda: model_details(resolve(words), name, version), json_mode=as_json)

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


def tracker_of(ground: Ground) -> Tracker:
    """The tracking that a project's config names.

    Raises:
        UserError: see `Tracker.open`.
    """
    return Tracker.open(ground.tracking, Storage.open(ground.workspace))


def model_list(ground: Ground) -> Mapping[str, Any]:
    """All registered models, JSON-able."""
    return {"models": [asdict(row) for row in list_models(tracker_of(ground))]}


def model_details(ground: Ground, name: str, which: str | None) -> Mapping[str, Any]:
    """One version of a registered model, JSON-able.

    Raises:
        UserError: no such model, version or alias.
    """
    return asdict(show_model(tracker_of(ground), name, which))


def render_models(result: Mapping[str, Any]) -> None:
    """The table of models for a person."""
    if not result["models"]:
        out.print("No model is registered yet.")
        return
    table = Table("model", "versions", "latest", "aliases", "description")
    for row in result["models"]:
        aliases = ", ".join(f"{alias} → {version}" for alias, version in row["aliases"].items())
        cells = (row["name"], str(row["versions"]), str(row["latest"] or "–"), aliases, row["description"])
        table.add_row(*map(escape, cells))
    out.print(table)


def render_doctor(result: Mapping[str, Any]) -> None:
    """The doctor's findings for a person."""
    table = Table("", "what", "finding")
    for row in result["rows"]:
        mark = "[green]✓[/]" if row["ok"] else "[red]✗[/]"
        finding = row["detail"] + (f"\n→ {row['remedy']}" if row["remedy"] else "")
        table.add_row(mark, escape(row["what"]), escape(finding))
    out.print(table)
    out.print("All is well." if result["ok"] else "Something must be fixed first: see the lines marked ✗.")
