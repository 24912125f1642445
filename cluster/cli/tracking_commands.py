"""`agssp tracking`: a team's tracking server, and its users."""

import os
from typing import Annotated

import typer

from cluster.cli.command import Json, guard, run_command
from cluster.tracking import add_user, serve

app = typer.Typer()
tracking = typer.Typer(no_args_is_help=True, help="A tracking server for a team: MLflow on PostgreSQL.")
app.add_typer(tracking, name="tracking")

NEW_PASSWORD = "AGSSP_NEW_USER_PASSWORD"


@tracking.command("serve")
def serve_command(
    backend: Annotated[
        str, typer.Option(help="postgresql://USER@HOST:PORT/DATABASE; its password in PGPASSWORD.")
    ],
    artifacts: Annotated[str, typer.Option(help="URI (s3://bucket/path) or folder for weights and files.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 4,
    allowed_hosts: Annotated[
        str | None,
        typer.Option(help="Names by which clients call it, with commas; private addresses by default."),
    ] = None,
) -> None:
    """Run a tracking server with logins until Ctrl-C.

    The administrator's password comes from MLFLOW_AUTH_ADMIN_PASSWORD. The server speaks plain HTTP: put a
    proxy with TLS in front of it before passwords cross a network.
    """
    with guard(json_mode=False):
        code = serve(backend, artifacts, host=host, port=port, workers=workers, allowed_hosts=allowed_hosts)
        if code:
            raise typer.Exit(code)


@tracking.command("add-user")
def add_user_command(
    name: Annotated[str, typer.Argument(help="Of the user.")],
    server: Annotated[str, typer.Option(help="The server's address.")] = "http://127.0.0.1:5000",
    as_json: Json = False,
) -> None:
    """Give somebody a login; the new password is asked for, or taken from AGSSP_NEW_USER_PASSWORD.

    You are the administrator: MLFLOW_TRACKING_USERNAME=admin and MLFLOW_TRACKING_PASSWORD.
    """
    password = os.environ.get(NEW_PASSWORD) or typer.prompt(
        f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True
    )
    run_command(lambda: add_user(server, name, password), json_mode=as_json)
