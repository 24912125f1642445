"""`agssp drift`: whether new images are still those of the corpus."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated, Any

import typer

from cluster.cli.command import USER_AT_FAULT, Json, Words, listing_table, out, run_command
from cluster.cli.projects import project_of
from training.cli.base import artifact_json

app = typer.Typer()

Category = Annotated[
    str | None,
    typer.Option(
        "--category", help="The new images' category, where the corpus has several.", show_default=False
    ),
]
Detector = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A detector whose boxes are compared too: a .safetensors file, the directory of a finetune "
        "stage, or a registered NAME, NAME@VERSION or NAME@ALIAS.",
        show_default=False,
    ),
]


@app.command("drift")
def drift_command(
    images: Annotated[str, typer.Argument(help="A folder, an image or a glob, local or by URI.")],
    words: Words = None,
    category: Category = None,
    model: Detector = None,
    as_json: Json = False,
) -> None:
    """Tell whether new images are still those of the corpus, what moved and how far.

    Exit code 2 where they have drifted, or where images are too few for a verdict.
    """

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from pipelines.corpus import find_images

        files = find_images(images)
        from training.inputs import open_tracker
        from training.opening import open_pipeline

        with open_pipeline(project, "drift", "maps") as pipeline:
            from pipelines.drift import TABLE_FILE
            from training.drift import drift_of
            from training.starts import open_model

            opened = nullcontext() if model is None else open_model(model, lambda: open_tracker(project))
            with opened as source:
                made = drift_of(pipeline, files, category=category, model=source)
            rows = made.directory.read_table(TABLE_FILE).to_pylist()
            return {**artifact_json(made), "measures": rows}

    run_command(body, json_mode=as_json, render=render_drift, exit_code=drift_exit_code)


def drift_exit_code(result: Mapping[str, Any]) -> int:
    """0 where nothing moved, else 2."""
    return USER_AT_FAULT if result["results"]["drift"] else 0


def render_drift(result: Mapping[str, Any]) -> None:
    """The measures, the verdict, where the page lies."""
    from pipelines.drift import PAGE_FILE

    table = listing_table("measure", "new", "corpus", "shift", "apart", "by chance below", "p", "")
    for row in result["measures"]:
        figures = [_figure(row[name]) for name in ("new_median", "corpus_median", "shift")]
        apart = (f"{row['statistic']:.3f}", f"{row['by_chance']:.3f}", f"{row['p']:.2g}")
        table.add_row(row["measure"], *figures, *apart, "moved" if row["moved"] else "")
    out.print(table)
    for verdict in result["results"]["verdicts"]:
        out.print(verdict["sentence"], markup=False, soft_wrap=True)
    if lost := result["results"]["unreadable"]:
        out.print(f"{lost} new images can't be read; the page names the list.", soft_wrap=True)
    out.print(f"Page: {result['directory']}/{PAGE_FILE}", markup=False, soft_wrap=True)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
