"""Searches whose trials are trainings: `agssp tune pretrain` and `tune finetune`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from cluster.config import merged, split_words, validate
from cluster.errors import UserError, nearest

Search = Annotated[
    list[str] | None,
    typer.Option(
        help="KEY=\\[a, b], KEY=LOW..HIGH, LOW..HIGH:STEP or LOW..HIGH:log; again for more keys.",
        show_default=False,
    ),
]
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

PRETRAIN = (
    "Epochs, rates, freezing, distilled stages, loss, λ, start of pretraining; trials are Ray Train runs.\n\n"
    "By backbone.correlation (attention on held-out images) unless --metric names e.g. finetune.map50_95."
)
FINETUNE = (
    "Epochs, rates, freezing and start of finetuning, by AP on validation images, never the test split."
)


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """A search's options, as they stand on the command line.

    Attributes:
        searched: words of `--search`; empty takes the stage's default space.
        metric: `STAGE.FIGURE` to maximise; None takes the stage's default.
        start: what is finetuned from; None takes the project's.
        name: name of the search; None takes the project's name with the command.
        trials: number of trials in all.
        grid: whether every combination of the space is tried instead.
        scheduler: `asha` or `none`; not checked yet.
        grace: epochs before a trial may be stopped.
        concurrent: trials at a time; None takes what fits.
        max_failures: failures that a trial survives; -1 for any number.
        hours, gpu_hours: limits after which no trial starts.
        register: whether the best trial's model is registered.
        estimate: whether only the cost is estimated.
    """

    searched: tuple[str, ...]
    metric: str | None
    start: str | None
    name: str | None
    trials: int
    grid: bool
    scheduler: str
    grace: int
    concurrent: int | None
    max_failures: int
    hours: float | None
    gpu_hours: float | None
    register: bool
    estimate: bool


def searching(stage: str) -> Callable[..., None]:
    """The command that searches a stage's settings.

    Args:
        stage: stage that every trial trains: `backbone` or `finetune`.
    """

    def command(
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
        options = SearchOptions(
            searched=tuple(search or ()),
            metric=metric,
            start=start,
            name=name,
            trials=trials,
            grid=grid,
            scheduler=scheduler,
            grace=grace,
            concurrent=concurrent,
            max_failures=max_failures,
            hours=hours,
            gpu_hours=gpu_hours,
            register=register,
            estimate=estimate,
        )
        run_command(lambda: search_stage(stage, words, options), json_mode=as_json, render=render_search)

    return command


def add_searches(app: typer.Typer) -> None:
    """Give the app the searches' commands."""
    app.command("pretrain", help=PRETRAIN)(searching("backbone"))
    app.command("finetune", help=FINETUNE)(searching("finetune"))


def search_stage(stage: str, words: list[str] | None, options: SearchOptions) -> Mapping[str, Any]:
    """Check a search, run it, and report its trials; JSON-able.

    Raises:
        UserError: an option or the config is at fault; see `run_search`.
    """
    check_scheduler(options.scheduler)
    from training.project import Project

    document, source = merged(*split_words(words), {})
    project = validate(Project, document, source)

    from tuning.search import Budget, Request, check_search, run_search
    from tuning.space import grid as combinations

    document, space, metric = check_search(
        stage, project, document, options.searched, options.metric, options.start
    )
    if options.grid:
        combinations(space)
    name = options.name or f"{project.name}-{'pretrain' if stage == 'backbone' else stage}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise UserError(f'--name "{name}" must be letters, digits, "-", "_" and "." (at most 100).')
    request = Request(
        stage=stage,
        name=name,
        project=validate(Project, document, source),
        document=document,
        space=space,
        metric=metric,
        trials=options.trials,
        exhaustive=options.grid,
        scheduler=options.scheduler,
        grace_epochs=options.grace,
        concurrent=options.concurrent,
        max_failures=options.max_failures,
        budget=Budget(options.hours, options.gpu_hours),
    )
    return run_search(request, registers=options.register, estimate_only=options.estimate)


def check_scheduler(name: str) -> None:
    """Prove that there is a scheduler of that name.

    Raises:
        UserError: there is none.
    """
    if name == "pbt":
        raise UserError(
            "--scheduler pbt is not offered: it changes a trial's settings in mid-training, and here a "
            "trial's weights are stored, resumed and made again by one config; use asha or none."
        )
    if name not in ("asha", "none"):
        raise UserError(f'There is no scheduler "{name}"; {nearest(name, ("asha", "none"))}')


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
    if result["alike"]:
        out.print(Text(result["alike"], "bold"), soft_wrap=True)
    if result["budget_reached"]:
        out.print(Text(f"Ended by the budget of {result['budget_reached']}."))
    if result["model"]:
        out.print(
            Text(f"Registered: {result['model']['name']} version {result['model']['version']} (candidate)")
        )
    out.print(Text(f"Saved: {result['directory']}/patch.yaml, result.json"), soft_wrap=True)
