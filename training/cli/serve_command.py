"""`agssp serve`: a registered detector that answers over HTTP."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import typer

from cluster import json_text
from cluster.cli.command import Json, Words, guard, out
from cluster.cli.projects import project_of
from training.cli.base import RegisteredName

app = typer.Typer()


@app.command("serve")
def serve_command(
    model: RegisteredName,
    words: Words = None,
    as_json: Json = False,
) -> None:
    """Serve a registered detector over HTTP until Ctrl-C; a promoted version takes over by itself.

    Images go to POST /detect, boxes come back. Settings are those of the section serve: serve.port=8000,
    serve.replicas=2, serve.gpus_per_replica=1 and others.
    """
    with guard(as_json):
        project = project_of(words)
        from training.served import serve_model

        def announce(about: Mapping[str, Any]) -> None:
            if as_json:
                typer.echo(json_text.dumps(about))
                return
            lines = [f"{about['model']} answers at {about['url']}/detect; Ctrl-C ends it."]
            if "token" in about:
                lines.append(f"Authorization: Bearer {about['token']}")
                lines.append("This token was made for this run and is said only here.")
            for line in lines:
                out.print(line, markup=False, soft_wrap=True)

        with suppress(KeyboardInterrupt):  # before it answers; afterwards it ends by itself
            serve_model(project, model, announce)
