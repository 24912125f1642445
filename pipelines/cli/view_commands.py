"""`agssp view`: serve the review page on this machine."""

from contextlib import suppress
from typing import Annotated

import typer

from cluster import json_text
from cluster.cli.command import Json, Words, guard
from cluster.cli.projects import project_of
from cluster.progress import say

app = typer.Typer()


@app.command("view")
def view_command(
    words: Words = None,
    maps: Annotated[
        str | None,
        typer.Option(metavar="FINGERPRINT", help="Other maps of the workspace, by their directory's name."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    as_json: Json = False,
) -> None:
    """Browse maps, try thresholds, accept or reject images, boxes and references on a local page."""
    with guard(as_json):
        project = project_of(words)
        from pipelines.review import review_server

        server = review_server(project, maps, port)
        typer.echo(json_text.dumps({"url": server.url}) if as_json else server.url)
        with suppress(KeyboardInterrupt):  # Ctrl+C ends the server
            server.serve()
        say("view: ended; what was decided is kept.")
