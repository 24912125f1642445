"""`agssp view`: serve the review page on this machine."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Protocol

import typer

from cluster import json_text
from cluster.cli.command import Json, Words, guard
from cluster.progress import say
from cluster.storage import Storage
from pipelines.boxes import PseudoBoxSettings
from pipelines.corpus import CorpusSection
from pipelines.maps import MapsSection
from pipelines.references import references_patch
from pipelines.review import FILE, FOLDER, Gallery, ReviewServer, find_maps


class Reviewed(Protocol):
    """A project's config, as far as the review goes."""

    @property
    def name(self) -> str:
        """Of the project."""

    @property
    def workspace(self) -> str:
        """Directory or URI of all artifacts."""

    @property
    def corpus(self) -> CorpusSection:
        """The images."""

    @property
    def maps(self) -> MapsSection:
        """How maps are made."""

    @property
    def boxes(self) -> PseudoBoxSettings:
        """The settings that the page starts with."""


def view_commands(resolve: Callable[[list[str] | None], Reviewed]) -> typer.Typer:
    """The app with `view`.

    Args:
        resolve: makes the project's config of a command line's words.
    """
    app = typer.Typer()

    @app.command("view")
    def view_command(
        words: Words = None,
        maps: Annotated[
            str | None,
            typer.Option(
                metavar="FINGERPRINT", help="Other maps of the workspace, by their directory's name."
            ),
        ] = None,
        port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
        as_json: Json = False,
    ) -> None:
        """Browse maps, try thresholds, accept or reject images, boxes and references on a local page."""
        with guard(as_json):
            server = review_server(resolve(words), maps, port)
            typer.echo(json_text.dumps({"url": server.url}) if as_json else server.url)
            with suppress(KeyboardInterrupt):  # the way to end it
                server.serve()
            say("view: ended; what was decided is kept.")

    return app


def review_server(project: Reviewed, maps: str | None = None, port: int = 0) -> ReviewServer:
    """The server over a project's stored maps, listening but not yet answering.

    Raises:
        UserError: no maps, damaged tables or review, a port that is taken.
    """
    workspace = Storage.open(project.workspace)
    found = find_maps(workspace, project.maps, project.corpus, maps)
    gallery = Gallery(found.maps, found.corpus, project.boxes)
    about = {
        "project": project.name,
        "workspace": workspace.uri,
        "maps": str(found.record["fingerprint"])[:16],
    }
    server = ReviewServer(
        gallery, workspace, about, lambda chosen: references_patch(chosen, project.corpus), port
    )
    say(f"view: {len(gallery)} images of {found.maps.uri}; decisions go to {workspace.uri}/{FOLDER}/{FILE}")
    say("Open this address in a browser on this machine; whoever has it may decide. Ctrl+C ends it.")
    return server
