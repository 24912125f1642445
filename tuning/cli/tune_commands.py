"""Commands that search: `agssp tune thresholds`, and those whose trials are trainings."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from cluster.cli.projects import project_of
from cluster.errors import UserError
from training.cli.base import artifact_json
from tuning.cli.search_commands import Search, add_searches

app = typer.Typer()
tune = typer.Typer(help="Search for better settings.", no_args_is_help=True)
app.add_typer(tune, name="tune")


@tune.command("thresholds")
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
        project = project_of(words)

        from training.opening import open_pipeline
        from tuning.space import grid as combinations, parse_space
        from tuning.thresholds import ThresholdSearch, check_request, tune_thresholds

        space = check_request(project, parse_space(search or ()), metric)
        if grid:
            if not space:
                raise UserError("The grid is empty; give at least one --search KEY=[a, b, …].")
            combinations(space)
        with open_pipeline(project, "tune thresholds", "maps") as pipeline:
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


add_searches(tune)


def render_thresholds(result: Mapping[str, Any]) -> None:
    """Print the chosen values and how they compare, for a person."""
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
    around = report["trials"] - report["searched"]
    more = f" and {around} around the best" if around else ""
    out.print(
        Text(f"{report['searched']} trials{more}, on {report['images']} images, truth: {report['truth']}")
    )
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
    if report["gain_interval"] is not None:
        low, high = report["gain_interval"]
        where = "held-out images" if report["held_out"] else "images of the search itself"
        out.print(
            Text(
                f"95 % interval of the gain on the {where}: {low:+.4f} to {high:+.4f}, by drawing them anew."
            ),
            soft_wrap=True,
        )
    for verdict in report["verdicts"]:
        out.print(Text(verdict["sentence"], "bold"), soft_wrap=True)
    for key, value in report["chosen"].items():
        out.print(Text(f"  {key}={value}"))
    for note in report["notes"]:
        out.print(Text(note), soft_wrap=True)
    out.print(
        Text(f"Saved: {result['directory']}/patch.yaml, thresholds.png, trials.parquet"), soft_wrap=True
    )
