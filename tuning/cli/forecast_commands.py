"""The command `agssp forecast`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, run_command
from tuning.cli.study_tables import print_lines, print_verdicts
from tuning.cli.study_words import study_words

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
        folders, settings, project = study_words(words, "forecast")

        from tuning.forecast import forecast_plan, forecast_preset, forecast_section, forecast_set

        chosen = forecast_preset(preset)
        section = forecast_section(chosen, settings)
        data = forecast_set(chosen, folders, project, section)
        if plan:
            return {"preset": preset, "summary": chosen.summary, **forecast_plan(section, data)}
        from tuning.forecast import run_forecast

        result = run_forecast(preset, chosen.summary, section, data)
        return {"directory": result.directory.uri, **result.table}

    run_command(body, json_mode=as_json, render=render_plan if plan else render)


def render_plan(result: Mapping[str, Any]) -> None:
    """What would be run, for a person."""
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
        if settings["sizes"] is None:
            said.append(
                "Labels are read when it runs: images without an object and near-duplicates on the held-out "
                "side make the subsets smaller, and one too small is left out."
            )
    print_lines(said)


def render(result: Mapping[str, Any]) -> None:
    """The verdicts, the table and its notes, for a person."""
    print_verdicts(result, ("table.md", "runs.csv", "curves.svg", "table.json"))
