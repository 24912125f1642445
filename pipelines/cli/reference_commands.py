"""`agssp references`: propose normal references, show them, and say how to accept them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from cluster.cli.projects import project_of

app = typer.Typer()


@app.command("references")
def references_command(
    words: Words = None,
    count: Annotated[int, typer.Option(min=1, max=64, help="References per category.")] = 4,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder for the page, the pictures and the YAML.")
    ] = Path("references"),
    category: Annotated[
        str | None, typer.Option(help="Only this one; by default those with too few references.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, max=5000, help="Images looked at per category, at most.")
    ] = 400,
    as_json: Json = False,
) -> None:
    """Propose normal references of each category: low anomaly, typical, different from each other."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        check_images(project.corpus)
        from pipelines.references import propose_references

        return propose_references(
            project.name,
            project.corpus,
            project.maps,
            count=count,
            folder=out_folder,
            category=category,
            sample=sample,
        )

    run_command(
        body,
        json_mode=as_json,
        render=lambda result: out.print(result["patch"].rstrip(), markup=False, soft_wrap=True),
    )


def check_images(section: Any) -> None:
    """Check that there are images, before the encoder's libraries are imported.

    Raises:
        UserError: no root or source; see `Listing` too.
    """
    from cluster.errors import UserError
    from pipelines.corpus import Listing

    if not section.root and not section.sources:
        raise UserError("corpus.root is not set; give the folder whose images may serve as references.")
    Listing(section)
