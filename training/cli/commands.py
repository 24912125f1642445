"""The commands of the pipeline: each makes its artifact and all those it needs."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, listing_table, out, run_command
from cluster.cli.default_command import DefaultCommand
from cluster.cli.projects import project_of
from cluster.recipes import recipe_notes, recipes
from training.cli.base import artifact_json, render_stage, stage_command
from training.cli.start_tables import render_evaluated, render_finetuned

app = typer.Typer()
corpora = typer.Typer(cls=DefaultCommand, help="List, check and split the images (build), or check them.")
pretrain = typer.Typer(no_args_is_help=True, help="Pretrain a backbone (AGBP) or a detector (AGDP).")
evaluate = typer.Typer(no_args_is_help=True, help="Evaluate anomaly maps or finetuned detectors.")
app.add_typer(corpora, name="corpus")
app.add_typer(pretrain, name="pretrain")
app.add_typer(evaluate, name="evaluate")


@corpora.command("build")
def corpus(words: Words = None, as_json: Json = False) -> None:
    """List, inspect and split the images; the same as `agssp corpus` without a further word."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from training.opening import open_pipeline

        with open_pipeline(project, "corpus", "corpus") as pipeline:
            from pipelines.cli.corpus_check import STATISTICS, statistics_of  # brings pandas

            return {**artifact_json(pipeline.corpus), STATISTICS: statistics_of(pipeline.corpus)}

    run_command(body, json_mode=as_json, render=_render_corpus)


@corpora.command("check")
def corpus_check(
    words: Words = None,
    against: Annotated[
        str | None,
        typer.Option(help="Folder or URI of evaluation images; the corpus' own held-out split without it."),
    ] = None,
    layout: Annotated[str, typer.Option(help="Dataset layout of that folder.")] = "auto",
    as_json: Json = False,
) -> None:
    """Fail (exit 2) when pretraining sees an evaluation image or a near-duplicate of one."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from pipelines.cli.corpus_check import check_corpus, check_listing
        from training.opening import open_pipeline

        links = project.corpus.follow_links
        evaluation = None if against is None else check_listing(against, layout, follow_links=links)
        with open_pipeline(project, "corpus check", "corpus") as pipeline:
            return check_corpus(pipeline.corpus, project.corpus.near_duplicate_distance, evaluation)

    run_command(body, json_mode=as_json, render=_render_check, exit_code=_check_exit_code)


def _render_corpus(result: Mapping[str, Any]) -> None:
    from pipelines.cli.corpus_check import render_corpus

    render_corpus(result)


def _render_check(result: Mapping[str, Any]) -> None:
    from pipelines.cli.corpus_check import render_check

    render_check(result)


def _check_exit_code(result: Mapping[str, Any]) -> int:
    from pipelines.cli.corpus_check import check_exit_code

    return check_exit_code(result)


@app.command()
def maps(words: Words = None, as_json: Json = False) -> None:
    """Make anomaly maps with KeAD, or the method that is set."""
    stage_command("maps", words, as_json, lambda pipeline: pipeline.maps, "maps")


@app.command()
def paint(words: Words = None, as_json: Json = False) -> None:
    """Paint defects onto the images, for detector.boxes=painted or both; sheet.png shows some."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from training.opening import open_pipeline

        # Beside pseudo-boxes nothing is painted over them, so these come first.
        with open_pipeline(
            project, "paint", "maps" if project.detector.paints_beside_boxes else "corpus"
        ) as pipeline:
            return artifact_json(pipeline.paint)

    run_command(body, json_mode=as_json, render=render_stage)


@pretrain.command("backbone")
def pretrain_backbone(words: Words = None, as_json: Json = False) -> None:
    """Distil the anomaly maps into a backbone (AGBP)."""
    stage_command("pretrain backbone", words, as_json, lambda pipeline: pipeline.backbone, "backbone")


@pretrain.command("detector")
def pretrain_detector(words: Words = None, as_json: Json = False) -> None:
    """Train a detector on the pseudo-boxes (AGDP), on painted defects, or on both."""
    stage_command("pretrain detector", words, as_json, lambda pipeline: pipeline.detector, "detector")


@app.command()
def finetune(words: Words = None, as_json: Json = False) -> None:
    """Finetune the detector from every start of finetune.starts."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from training.opening import open_pipeline

        with open_pipeline(project, "finetune", "finetune") as pipeline:
            return {"starts": {start: artifact_json(pipeline.finetuned(start)) for start in pipeline.starts}}

    run_command(body, json_mode=as_json, render=render_finetuned)


@app.command()
def register(words: Words = None, as_json: Json = False) -> None:
    """Put the finetuned detector into the model registry (AGSSP's, else that of the last start)."""
    stage_command("register", words, as_json, lambda pipeline: pipeline.registered, "finetune")


@evaluate.command("maps")
def evaluate_maps(words: Words = None, as_json: Json = False) -> None:
    """Image and pixel AUROC of the anomaly maps on held-out images."""
    stage_command("evaluate maps", words, as_json, lambda pipeline: pipeline.map_quality, "maps")


@evaluate.command("detectors")
def evaluate_detectors(words: Words = None, as_json: Json = False) -> None:
    """COCO AP of the finetuned detectors on held-out images."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from training.opening import open_pipeline
        from training.report import compared_starts

        with open_pipeline(project, "evaluate detectors", "finetune") as pipeline:
            evaluated = {start: pipeline.evaluated(start) for start in pipeline.starts}
            return {
                "starts": {start: artifact_json(artifact) for start, artifact in evaluated.items()},
                "headline": compared_starts(evaluated, pipeline.labelled),
            }

    run_command(body, json_mode=as_json, render=render_evaluated)


@app.command()
def report(words: Words = None, as_json: Json = False) -> None:
    """Write the HTML report (and whatever it still needs)."""
    stage_command("report", words, as_json, lambda pipeline: pipeline.report)


@app.command()
def run(words: Words = None, as_json: Json = False) -> None:
    """All stages in order: from a folder of images to a report and a registered detector."""
    run_command(lambda: _whole_run(words, None, "run"), json_mode=as_json, render=render_run)


@app.command()
def demo(words: Words = None, as_json: Json = False) -> None:
    """`run` on generated surfaces: the whole method in minutes, without any data."""
    run_command(lambda: _whole_run(words, recipes()["demo"], "demo"), json_mode=as_json, render=render_run)


def _whole_run(words: list[str] | None, base: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    project = project_of(words, base)
    from training.opening import whole_run

    return whole_run(project, name)


@app.command("recipes")
def list_recipes(as_json: Json = False) -> None:
    """The shipped configs, for use as recipe:NAME; --json prints them whole."""
    run_command(lambda: {"recipes": recipes()}, json_mode=as_json, render=_show_recipes)


def _show_recipes(_: Mapping[str, Any]) -> None:

    table = listing_table("recipe", "what it is", whole=0)
    for name, note in recipe_notes().items():
        table.add_row(f"recipe:{name}", note)
    out.print(table)


def render_run(result: Mapping[str, Any]) -> None:
    """The table of starts and where to look next, for a person."""
    from rich.table import Table

    table = Table(title=f"{result['project']}: finetuned detectors on held-out images")
    for column in ("start", "mAP@0.5", "mAP@0.5:0.95"):
        table.add_column(column)
    for row in result["table"]:
        table.add_row(row["start"], f"{row['map50']:.3f}", f"{row['map50_95']:.3f}")
    out.print(table)
    out.print(result["headline"]["sentence"], markup=False, soft_wrap=True)
    maps = result["maps"]
    names = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
    known = [f"{name} {maps[key]:.3f}" for key, name in names.items() if maps and maps[key] is not None]
    if known:
        out.print(f"Anomaly maps: {', '.join(known)}")
    model = result["model"]
    out.print(
        f"Registered:   {model['name']} version {model['version']} (alias {model['alias']}), "
        f"from the start {model['start']}"
    )
    for verdict in (*(maps["verdicts"] if maps else ()), *model["verdicts"]):
        out.print(verdict["sentence"], markup=False, soft_wrap=True)
    out.print(f"Report:       {result['report']}")
