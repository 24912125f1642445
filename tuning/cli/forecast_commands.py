"""The command `agssp forecast`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, out, run_command
from cluster.config import merged, section_of
from tuning.cli.transfer_commands import is_config

app = typer.Typer()

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DATA] [CONFIG] [KEY=VALUE]...",
        help="A folder of labelled images, YAML files, and overrides: forecast.KEY=VALUE of the forecast, "
        "others of the project. No folder takes the images that the config names.",
        show_default=False,
    ),
]
Preset = Annotated[
    str, typer.Option(help="quick for a laptop; own takes the finetuning that the config describes.")
]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be run, and run nothing.")]


@app.command("forecast")
def forecast(
    words: Words = None, preset: Preset = "quick", plan: Plan = False, as_json: Json = False
) -> None:
    """What more labels would bring: mAP foretold at numbers of labels, with an interval.

    Nested subsets of the labels at hand are finetuned on and measured on the held-out half; a power law is
    fitted. Trainings already run are found again: the same command goes on.
    """

    def body() -> Mapping[str, Any]:
        arguments = words or []
        configs = [word for word in arguments if is_config(word)]
        overrides = [word for word in arguments if "=" in word and not is_config(word)]
        folders = [word for word in arguments if word not in configs and word not in overrides]
        document, _ = merged(configs, overrides, {})

        from tuning.forecast import forecast_plan, forecast_preset, forecast_section, forecast_set

        chosen = forecast_preset(preset)
        section = forecast_section(chosen, section_of(document, "forecast"))
        document.pop("forecast", None)
        data = forecast_set(chosen, folders, document, section)
        if plan:
            return {"preset": preset, "summary": chosen.summary, **forecast_plan(section, data)}
        from tuning.forecast import run_forecast

        result = run_forecast(preset, chosen.summary, section, data)
        return {"directory": result.directory.uri, **result.table}

    run_command(body, json_mode=as_json, render=render_plan if plan else render)


def render_plan(result: Mapping[str, Any]) -> None:
    """What would be run, for a person."""
    from rich.text import Text

    settings = result["forecast"]
    targets = ", ".join(f"{target:,}" for target in settings["targets"])
    said = [
        f"Preset {result['preset']}: {result['summary']}",
        f"Starts {', '.join(settings['starts'])}; {len(settings['seeds'])} seeds; foretold at {targets} "
        "labels.",
    ]
    if result["reason"] is not None:
        said.append(f"It can't be run: {result['reason']}")
    elif result["sizes"] is None:
        said.append("The images are yet to be generated: sizes are told when it runs.")
    else:
        time = (
            "" if result["minutes"] is None else f", about {result['minutes']} min of training on a quiet CPU"
        )
        said.append(
            f"Subsets of about {', '.join(map(str, result['sizes']))} labels: {result['trainings']} "
            f"trainings, {result['images_learnt']:,} images learnt in all{time}."
        )
    for line in said:
        out.print(Text(line), soft_wrap=True)


def render(result: Mapping[str, Any]) -> None:
    """The verdicts, the table and its notes, for a person."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=result["title"], box=None, pad_edge=False, collapse_padding=True)
    for column in result["header"]:
        table.add_column(column, overflow="fold")
    for line in result["lines"]:
        table.add_row(*(Text(text) for text in line))
    out.print(table)
    for note in [*(verdict["sentence"] for verdict in result["verdicts"]), *result["notes"]]:
        out.print(Text(note), soft_wrap=True)
    out.print(
        Text(f"Saved: {result['directory']}/table.md, runs.csv, curves.svg, table.json"),
        soft_wrap=True,
    )
