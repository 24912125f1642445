"""The command `agssp study gain`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, run_command
from tuning.cli.study_tables import print_lines, print_verdicts
from tuning.cli.study_words import study_words
from tuning.pace import about

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DATA... [CONFIG] [KEY=VALUE]...",
        help="Folders of labelled images, YAML files, and overrides: gain.KEY=VALUE of the study, others of "
        "the project. No folder takes the images that the config names.",
        show_default=False,
    ),
]
Preset = Annotated[
    str, typer.Option(help="How large: quick for a laptop, thorough for a night, full for GPUs.")
]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be run, and run nothing.")]


def gain(words: Words = None, preset: Preset = "quick", plan: Plan = False, as_json: Json = False) -> None:
    """What pretraining on your unlabelled images gains, with an interval, and what limits it.

    Each start is finetuned as it is and after pretraining, with the same labels and seeds, and measured on a
    half that nothing saw. Trainings already run are found again: the same command goes on.
    """

    def body() -> Mapping[str, Any]:
        folders, settings, project = study_words(words, "gain")

        from tuning.gain import gain_plan, gain_preset, gain_section, gain_sets

        chosen = gain_preset(preset)
        section = gain_section(chosen, settings)
        sets = gain_sets(chosen, folders, project, section)
        if plan:
            return {"preset": preset, "summary": chosen.summary, **gain_plan(section, sets)}
        from tuning.gain import run_gain

        result = run_gain(preset, chosen.summary, section, sets)
        return {"directory": result.directory.uri, **result.table}

    run_command(body, json_mode=as_json, render=render_plan if plan else render)


def render_plan(result: Mapping[str, Any]) -> None:
    """One screen of what would be run, for a person."""
    gain = result["gain"]
    limits = ", ".join("all" if limit is None else str(limit) for limit in gain["limits"])
    epochs = ", ".join(map(str, gain["epochs"]))
    rounds = f" in {' and '.join(map(str, gain['rounds']))} rounds" if "rounds" in gain else ""
    several = gain.get("finetune_rounds", [])
    trained = f", finetuned in {' and '.join(map(str, several))} rounds" if several else ""
    said = [
        f"Preset {result['preset']}: {result['summary']}",
        f"Starts {', '.join(gain['starts'])}: alone and after pretraining on {', '.join(gain['sources'])}"
        f"{rounds}{trained}; {limits} labelled images; {epochs} epochs; {len(gain['seeds'])} seeds.",
    ]
    for data in result["data"]:
        counts = (
            "" if data["images"] is None else f"{data['images']} images, {data['annotated']} with labels; "
        )
        trainings = (
            f"{data['trainings']} trainings ({data['backbones']} backbones, {data['detectors']} detectors, "
            f"{data['finetunings']} finetunings)"
        )
        cost = "" if data["images_learnt"] is None else f", {data['images_learnt']:,} images learnt in all"
        time = (
            "" if data["minutes"] is None else f", about {about(60 * data['minutes'])} on one quiet CPU core"
        )
        said.append(f"{data['name']}: {counts}{trainings}{cost}{time}, and the maps.")
        said += [f"  {source} is not run: {reason}" for source, reason in data["not_run"].items()]
    said.append("Weights that a start names are looked at when it runs.")
    print_lines(said)


def render(result: Mapping[str, Any]) -> None:
    """The verdicts, the table and its notes, for a person."""
    print_verdicts(result, ("table.md", "cells.csv", "gains.svg", "table.json"))
