"""The commands of the pipeline: each makes its artifact and all those it needs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer

from cluster.command import Json, Words, out, render_table, run_command
from cluster.config import load_words, recipe_notes, recipes
from cluster.default_command import DefaultCommand
from cluster.stages import Artifact
from training.start_tables import render_evaluated, render_finetuned

app = typer.Typer()
corpora = typer.Typer(cls=DefaultCommand, help="List, check and split the images (build), or check them.")
pretrain = typer.Typer(no_args_is_help=True, help="Pretrain a backbone (AGBP) or a detector (AGDP).")
evaluate = typer.Typer(no_args_is_help=True, help="Evaluate anomaly maps or finetuned detectors.")
app.add_typer(corpora, name="corpus")
app.add_typer(pretrain, name="pretrain")
app.add_typer(evaluate, name="evaluate")


def project_of(words: list[str] | None, base: Mapping[str, Any] | None = None) -> Any:
    """The project that a command line describes.

    Args:
        words: configs (paths or `recipe:NAME`; a later one wins) and `section.key=value` overrides.
        base: values under everything else.

    Raises:
        UserError: a config that is at fault.
    """
    from training.project import Project

    return load_words(Project, words, base or {})


def project_weights(project: Any) -> Iterable[Any]:
    """The doctor's findings about a project's weights."""
    from training.weight_probes import weight_probes

    return weight_probes(project)


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    """An artifact as commands report it."""
    return {
        "stage": artifact.stage,
        "directory": artifact.directory.uri,
        "fingerprint": artifact.fingerprint,
        "reused": artifact.reused,
        "seconds": artifact.record["seconds"],
        "results": artifact.results,
    }


def render_stage(result: Mapping[str, Any]) -> None:
    """A table of the figures, then where the stage lies; nested records are in its `stage.json` alone."""
    figures = {
        name: value
        for name, value in result["results"].items()
        if not (isinstance(value, Mapping) and any(isinstance(one, Mapping) for one in value.values()))
    }
    render_table({**{name: result[name] for name in ("stage", "reused", "seconds")}, **figures})
    out.print(f"Result: {result['directory']}", markup=False, soft_wrap=True)


def stage_command(
    name: str, words: list[str] | None, json_mode: bool, make: Callable[[Any], Artifact]
) -> None:
    """Run the pipeline up to one artifact and report it."""

    def body() -> Mapping[str, Any]:
        from training.pipeline import open_pipeline

        with open_pipeline(project_of(words), name) as pipeline:
            return artifact_json(make(pipeline))

    run_command(body, json_mode=json_mode, render=render_stage)


@corpora.command("build")
def corpus(words: Words = None, as_json: Json = False) -> None:
    """List, inspect and split the images; the same as `agssp corpus` without a further word."""
    from training.corpus_check import STATISTICS, render_corpus, statistics_of
    from training.pipeline import open_pipeline

    def body() -> Mapping[str, Any]:
        with open_pipeline(project_of(words), "corpus") as pipeline:
            return {**artifact_json(pipeline.corpus), STATISTICS: statistics_of(pipeline.corpus)}

    run_command(body, json_mode=as_json, render=render_corpus)


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
    from training.corpus_check import check_corpus, check_exit_code, check_listing, render_check
    from training.pipeline import open_pipeline

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        evaluation = None if against is None else check_listing(against, layout)
        with open_pipeline(project, "corpus check") as pipeline:
            return check_corpus(pipeline.corpus, project.corpus.near_duplicate_distance, evaluation)

    run_command(body, json_mode=as_json, render=render_check, exit_code=check_exit_code)


@app.command()
def maps(words: Words = None, as_json: Json = False) -> None:
    """Make anomaly maps with KeAD."""
    stage_command("maps", words, as_json, lambda pipeline: pipeline.maps)


@app.command()
def boxes(words: Words = None, as_json: Json = False) -> None:
    """Derive pseudo-boxes, with COCO and YOLO exports."""
    stage_command("boxes", words, as_json, lambda pipeline: pipeline.boxes)


@pretrain.command("backbone")
def pretrain_backbone(words: Words = None, as_json: Json = False) -> None:
    """Distil the anomaly maps into a backbone (AGBP)."""
    stage_command("pretrain backbone", words, as_json, lambda pipeline: pipeline.backbone)


@pretrain.command("detector")
def pretrain_detector(words: Words = None, as_json: Json = False) -> None:
    """Train a detector on the pseudo-boxes (AGDP)."""
    stage_command("pretrain detector", words, as_json, lambda pipeline: pipeline.detector)


@app.command()
def finetune(words: Words = None, as_json: Json = False) -> None:
    """Finetune the detector from every start of finetune.starts."""

    def body() -> Mapping[str, Any]:
        from training.pipeline import open_pipeline

        with open_pipeline(project_of(words), "finetune") as pipeline:
            return {"starts": {start: artifact_json(pipeline.finetuned(start)) for start in pipeline.starts}}

    run_command(body, json_mode=as_json, render=render_finetuned)


@evaluate.command("maps")
def evaluate_maps(words: Words = None, as_json: Json = False) -> None:
    """Image and pixel AUROC of the anomaly maps on held-out images."""
    stage_command("evaluate maps", words, as_json, lambda pipeline: pipeline.map_quality)


@evaluate.command("detectors")
def evaluate_detectors(words: Words = None, as_json: Json = False) -> None:
    """COCO AP of the finetuned detectors on held-out images."""

    def body() -> Mapping[str, Any]:
        from training.pipeline import open_pipeline

        with open_pipeline(project_of(words), "evaluate detectors") as pipeline:
            return {"starts": {start: artifact_json(pipeline.evaluated(start)) for start in pipeline.starts}}

    run_command(body, json_mode=as_json, render=render_evaluated)


@app.command()
def report(words: Words = None, as_json: Json = False) -> None:
    """Write the HTML report (and whatever it still needs)."""
    stage_command("report", words, as_json, lambda pipeline: pipeline.report)


@app.command()
def run(words: Words = None, as_json: Json = False) -> None:
    """All stages in order: from a folder of images to a report and a registered detector."""
    run_command(lambda: whole_run(project_of(words), "run"), json_mode=as_json, render=render_run)


@app.command()
def demo(words: Words = None, as_json: Json = False) -> None:
    """`run` on generated surfaces: the whole method in minutes, without any data."""
    base = recipes()["demo"]
    run_command(lambda: whole_run(project_of(words, base), "demo"), json_mode=as_json, render=render_run)


@app.command("recipes")
def list_recipes(as_json: Json = False) -> None:
    """The shipped configs, for use as recipe:NAME; --json prints them whole."""
    run_command(lambda: {"recipes": recipes()}, json_mode=as_json, render=_show_recipes)


def _show_recipes(_: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table("recipe", "what it is")
    for name, note in recipe_notes().items():
        table.add_row(f"recipe:{name}", note)
    out.print(table)


def whole_run(project: Any, name: str) -> Mapping[str, Any]:
    """Every stage of a project, and what came of them as one JSON-able mapping."""
    import time

    from training.pipeline import open_pipeline

    began = time.monotonic()
    with open_pipeline(project, name) as pipeline:
        report = pipeline.report
        artifacts = pipeline.artifacts()
        return {
            "project": project.name,
            "workspace": pipeline.workspace.uri,
            "counts": {stage: artifact.results for stage, artifact in artifacts.items()},
            "seconds": {stage: artifact.record["seconds"] for stage, artifact in artifacts.items()},
            "reused": [stage for stage, artifact in artifacts.items() if artifact.reused],
            "maps": artifacts["evaluate_maps"].results,
            "table": report.results["table"],
            "report": f"{report.directory.uri}/report.html",
            "model": artifacts["register"].results,
            "wall_seconds": round(time.monotonic() - began, 1),
        }


def render_run(result: Mapping[str, Any]) -> None:
    """The table of starts and where to look next, for a person."""
    from rich.table import Table

    table = Table(title=f"{result['project']}: finetuned detectors on held-out images")
    for column in ("start", "mAP@0.5", "mAP@0.5:0.95"):
        table.add_column(column)
    for row in result["table"]:
        table.add_row(row["start"], f"{row['map50']:.3f}", f"{row['map50_95']:.3f}")
    out.print(table)
    maps = result["maps"]
    names = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
    known = [f"{name} {maps[key]:.3f}" for key, name in names.items() if maps.get(key) is not None]
    if known:
        out.print(f"Anomaly maps: {', '.join(known)}")
    model = result["model"]
    out.print(f"Registered:   {model['name']} version {model['version']} (alias {model['alias']})")
    out.print(f"Report:       {result['report']}")
