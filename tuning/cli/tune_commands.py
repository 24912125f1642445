"""Commands that search: `agssp tune thresholds`, `tune pretrain` and `tune finetune`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from training.cli.base import artifact_json, project_of

app = typer.Typer(help="Search for better settings.", no_args_is_help=True)

Search = Annotated[
    list[str] | None,
    typer.Option(
        help="KEY=\\[a, b], KEY=LOW..HIGH, LOW..HIGH:STEP or LOW..HIGH:log; again for more keys.",
        show_default=False,
    ),
]


@app.callback()
def tune() -> None:
    """Search for better settings."""


@app.command("thresholds")
def thresholds(
    words: Words = None,
    search: Search = None,
    metric: Annotated[
        str | None,
        typer.Option(help="mask_iou, box_f1, box_ap50 or plausibility; by the truth there is when left out."),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=1_000_000, help="Combinations to try.")] = 400,
    grid: Annotated[bool, typer.Option("--grid", help="Try every combination of --search.")] = False,
    as_json: Json = False,
) -> None:
    """C, δ, top-k, NMS, least area and fusion weights of the pseudo-boxes, on the stored maps alone.

    Judged by pixel masks, by boxes, or (without labels) by plausibility. Writes a config patch:
    `agssp boxes project.yaml patch.yaml`.
    """

    def body() -> Mapping[str, Any]:
        from cluster.errors import UserError
        from training.opening import open_pipeline
        from tuning.space import grid as combinations, parse_space
        from tuning.thresholds import ThresholdSearch, check_request, tune_thresholds

        project = project_of(words)
        space = check_request(project, parse_space(search or ()), metric)
        if grid:
            if not space:
                raise UserError("The grid is empty; give at least one --search KEY=[a, b, …].")
            combinations(space)
        with open_pipeline(project, "tune thresholds") as pipeline:
            return artifact_json(
                tune_thresholds(
                    project,
                    ThresholdSearch(space, metric, trials, exhaustive=grid),
                    site=pipeline.site,
                    corpus=pipeline.corpus,
                    maps=pipeline.maps,
                )
            )

    run_command(body, json_mode=as_json, render=render_thresholds)


def render_thresholds(result: Mapping[str, Any]) -> None:
    """What was chosen, and how it compares, for a person."""
    from rich.table import Table
    from rich.text import Text

    report = result["results"]
    metric, fig7 = report["metric"], report["fig7"]
    table = Table("", metric, "on the test split", box=None, pad_edge=False)
    held = report["held_out"] or {}

    def figure(row: Mapping[str, float] | None) -> str:
        return "–" if not row or metric not in row else f"{row[metric]:.4f}"

    table.add_row("the project's settings", figure(report["project"]), figure(held.get("project")))
    table.add_row("chosen", figure(report["best"]), figure(held.get("best")))
    out.print(Text(f"{report['trials']} trials on {report['images']} images, {report['truth']}"))
    out.print(table)
    adaptive, paper = fig7["adaptive"], fig7["adaptive_paper_c"]
    out.print(
        Text(
            f"Adaptive thresholds alone: {paper['value']:.4f} at the paper's C = 0.1, "
            f"{adaptive['value']:.4f} at best (C = {adaptive['c']:g}). "
            f"Fixed: {fig7['fixed_one_for_all']['value']:.4f} at best for all "
            f"(T = {fig7['fixed_one_for_all']['threshold']:g}), "
            f"{fig7['fixed_best_of_each']['value']:.4f} with the best of each category."
        ),
        soft_wrap=True,
    )
    for key, value in report["chosen"].items():
        out.print(Text(f"  {key}={value}"))
    for note in report["notes"]:
        out.print(Text(note), soft_wrap=True)
    out.print(
        Text(f"Saved: {result['directory']}/patch.yaml, thresholds.png, trials.parquet"), soft_wrap=True
    )


Metric = Annotated[
    str | None,
    typer.Option(help="STAGE.FIGURE to maximise; never one of the test split.", show_default=False),
]
Start = Annotated[str | None, typer.Option(help="What is finetuned from.", show_default=False)]
Name = Annotated[
    str | None, typer.Option(help="Of the search; the same goes on with it.", show_default=False)
]
Trials = Annotated[int, typer.Option(min=1, max=1_000_000, help="Trials in all.")]
Grid = Annotated[bool, typer.Option("--grid", help="Every combination of --search instead.")]
Scheduler = Annotated[str, typer.Option(help="asha stops what lags behind; none stops nothing.")]
Grace = Annotated[int, typer.Option(min=1, help="Epochs before asha may stop a trial.")]
Concurrent = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="Trials at a time; what fits when left out.")
]
Failures = Annotated[int, typer.Option(min=-1, help="Failures of a trial survived; −1 for any number.")]
Hours = Annotated[float | None, typer.Option(min=0, help="Start no trial after so many hours.")]
GpuHours = Annotated[float | None, typer.Option(min=0, help="Start no trial after so many GPU-hours.")]
Register = Annotated[bool, typer.Option("--register", help="Register the best trial's model as candidate.")]
Estimate = Annotated[bool, typer.Option("--estimate", help="Say what it would cost, and stop.")]


@app.command("pretrain")
def pretrain(
    words: Words = None,
    search: Search = None,
    metric: Metric = None,
    start: Start = None,
    name: Name = None,
    trials: Trials = 20,
    grid: Grid = False,
    scheduler: Scheduler = "none",
    grace: Grace = 5,
    concurrent: Concurrent = None,
    max_failures: Failures = 1,
    hours: Hours = None,
    gpu_hours: GpuHours = None,
    register: Register = False,
    estimate: Estimate = False,
    as_json: Json = False,
) -> None:
    """Epochs, rates, freezing, distilled stages, loss, λ, start of pretraining; trials are Ray Train runs.

    By backbone.correlation (attention on held-out images) unless --metric names e.g. finetune.map50_95.
    """
    options = (search, metric, start, name, trials, grid, scheduler, grace, concurrent, max_failures)
    _search("backbone", words, options, (hours, gpu_hours), register, estimate, as_json)


@app.command("finetune")
def finetune(
    words: Words = None,
    search: Search = None,
    metric: Metric = None,
    start: Start = None,
    name: Name = None,
    trials: Trials = 20,
    grid: Grid = False,
    scheduler: Scheduler = "none",
    grace: Grace = 5,
    concurrent: Concurrent = None,
    max_failures: Failures = 1,
    hours: Hours = None,
    gpu_hours: GpuHours = None,
    register: Register = False,
    estimate: Estimate = False,
    as_json: Json = False,
) -> None:
    """Epochs, rates, freezing and start of finetuning, by AP on validation images, never the test split."""
    options = (search, metric, start, name, trials, grid, scheduler, grace, concurrent, max_failures)
    _search("finetune", words, options, (hours, gpu_hours), register, estimate, as_json)


def _search(
    stage: str,
    words: list[str] | None,
    options: tuple[Any, ...],
    limits: tuple[float | None, float | None],
    register: bool,
    estimate: bool,
    as_json: bool,
) -> None:
    searched, metric, start, name, trials, grid, scheduler, grace, concurrent, max_failures = options

    def body() -> Mapping[str, Any]:
        from cluster.config import merged, split_words, validate
        from cluster.errors import UserError, nearest
        from training.project import Project
        from tuning.search import Budget, Request, check_search, run_search
        from tuning.space import grid as combinations

        if scheduler == "pbt":
            raise UserError(
                "--scheduler pbt is not offered: it changes a trial's settings in mid-training, and here a "
                "trial's weights are stored, resumed and made again by one config; use asha or none."
            )
        if scheduler not in ("asha", "none"):
            raise UserError(f'There is no scheduler "{scheduler}"; {nearest(scheduler, ("asha", "none"))}')
        document, source = merged(*split_words(words), {})
        project = validate(Project, document, source)
        document, space, chosen = check_search(stage, project, document, searched or (), metric, start)
        if grid:
            combinations(space)
        command = "pretrain" if stage == "backbone" else stage
        chosen_name = name or f"{project.name}-{command}"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", chosen_name):
            raise UserError(
                f'--name "{chosen_name}" must be letters, digits, "-", "_" and "." (at most 100).'
            )
        request = Request(
            stage,
            chosen_name,
            validate(Project, document, source),
            document,
            space,
            chosen,
            trials,
            grid,
            scheduler,
            grace,
            concurrent,
            max_failures,
            Budget(*limits),
        )
        return run_search(request, registers=register, estimate_only=estimate)

    run_command(body, json_mode=as_json, render=render_search)


def render_search(result: Mapping[str, Any]) -> None:
    """The trials, best first, for a person."""
    from rich.table import Table
    from rich.text import Text

    if "estimate" in result:
        out.print(Text(f"{result['name']}: {result['estimate']}"), soft_wrap=True)
        return
    ranked = sorted(
        result["trials"], key=lambda row: -1e9 if row["value"] is None else row["value"], reverse=True
    )
    keys = list(result["best"]["values"])
    table = Table("trial", *keys, result["metric"], "epochs", "s", "", box=None, pad_edge=False)
    for row in ranked:
        value = "–" if row["value"] is None else f"{row['value']:.4f}"
        cells = [str(row["number"]), *(str(row["values"][key]) for key in keys), value]
        cells += [str(row["epochs"]), f"{row['seconds']:.0f}", row["reason"] or row["status"]]
        table.add_row(*(Text(cell) for cell in cells))
    out.print(table)
    if result["budget_reached"]:
        out.print(Text(f"Ended by the budget of {result['budget_reached']}."))
    if result["model"]:
        out.print(
            Text(f"Registered: {result['model']['name']} version {result['model']['version']} (candidate)")
        )
    out.print(Text(f"Saved: {result['directory']}/patch.yaml, result.json"), soft_wrap=True)
