"""The command `agssp study transfer`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, run_command
from tuning.cli.study_tables import print_lines, print_table
from tuning.cli.study_words import study_words
from tuning.pace import about
from tuning.start_words import missing_file

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DATA... [CONFIG] [KEY=VALUE]...",
        help="Folders of labelled images, YAML files, and overrides: transfer.KEY=VALUE of the study, others "
        "of the project that makes corpus and AGBP start.",
        show_default=False,
    ),
]
Preset = Annotated[str, typer.Option(help="How large: cpu, or full with the paper's backbones.")]
MOST_STARTS, MOST_NAMES = 12, 8  # shown of a plan, which fits a screen
Register = Annotated[
    bool,
    typer.Option(
        "--register",
        help="Register the best model of each data set and task as candidate, by the test split.",
    ),
]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be run, and run nothing.")]


def transfer(
    words: Words = None,
    preset: Preset = "cpu",
    register: Register = False,
    plan: Plan = False,
    as_json: Json = False,
) -> None:
    """Which start suits these images: segmentation and detection from every start, frozen and finetuned.

    Trainings already run are found again: the same command goes on.
    """

    def body() -> Mapping[str, Any]:
        folders, settings, project = study_words(words, "transfer")

        from tuning.transfer import (
            cell_count,
            data_sets,
            estimated_seconds,
            finished_seconds,
            transfer_preset,
            transfer_section,
        )

        chosen = transfer_preset(preset)
        section = transfer_section(chosen, settings)
        sets = data_sets(chosen, folders, project, section)
        if plan:
            return {
                "data": [data.name for data in sets],
                "trainings": cell_count(section, sets),
                "finished": finished_seconds(sets[0].project.workspace),
                "estimated_seconds": estimated_seconds(section, sets),
                "transfer": section.model_dump(mode="json"),
            }
        from tuning.transfer import run_transfer

        result = run_transfer(preset, chosen, section, sets, registers=register)
        return {"directory": result.directory.uri, **result.table}

    run_command(body, json_mode=as_json, render=render_plan if plan else render)


def render_plan(result: Mapping[str, Any]) -> None:
    """What would be trained, on one screen."""
    from cluster.on_ray import machine_cpus

    section, trainings = result["transfer"], result["trainings"]
    loop, models = section["loop"], section["models"]
    tasks = ", ".join(f"{task} ({models[task]})" for task in section["tasks"])
    lines = [
        f"Transfer: {trainings} trainings, finished ones are found again",
        f"  {len(result['data'])} data sets × {len(section['tasks'])} tasks × "
        f"{len(section['regimes'])} regimes × {len(section['starts'])} starts × "
        f"{len(section['seeds'])} seeds",
        f"  data: {_few(result['data'])}",
        f"  tasks: {tasks}",
        f"  regimes: {', '.join(section['regimes'])}",
        *(
            f"  start {name}: {start['backbone']} from {start['weights']}: {_state(start['weights'])}"
            for name, start in list(section["starts"].items())[:MOST_STARTS]
        ),
    ]
    if len(section["starts"]) > MOST_STARTS:
        lines.append(f"  … and {len(section['starts']) - MOST_STARTS} more starts")
    lines += [
        f"  seeds: {_few(section['seeds'])}",
        f"  each: {loop['epochs']} epochs, batches of {loop['batch_size']}, {loop['optimizer']}, "
        f"lr {loop['lr']:g}",
        f"  images with defects: at most {section['train_limit'] or 'all'} to learn from, "
        f"{section['test_limit'] or 'all'} to measure on",
    ]
    if seconds := result["finished"]:
        mean = sum(seconds) / len(seconds)
        lines.append(
            f"  time: about {trainings * mean / 3600:.1f} hours if all take as long as the {len(seconds)} "
            f"finished in this workspace ({mean:.0f} s each)"
        )
    elif (estimated := result["estimated_seconds"]) is not None:
        lines.append(
            f"  time: about {about(estimated)} on two quiet CPU cores (here are {machine_cpus()}), by the "
            "pace of such models on another machine, without AGBP and measuring; ask again when one is done"
        )
    else:
        lines.append("  time: not known before a training is finished in this workspace; ask again then")
    lines.append("transfer.KEY=VALUE changes any of it; --json prints all settings.")
    print_lines(lines)


def _state(weights: str) -> str:
    """Whether a start can be run, by the word for its weights."""
    from training.starts import AGBP, PUBLISHED

    if missing_file(weights):
        return "needs weights: this file is not there"
    if weights in PUBLISHED:
        return "runs; downloaded unless there"
    return "runs, after a pretraining on each data set" if weights == AGBP else "runs"


def _few(values: Sequence[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:MOST_NAMES])
    return shown if len(values) <= MOST_NAMES else f"{shown} … ({len(values)} in all)"


def render(result: Mapping[str, Any]) -> None:
    """The table, the recommendation and the paper's figures, for a person."""
    print_table(result["title"], result)
    print_table("The paper's figures", result["paper"])
    print_lines([*result["recommendation"], *result["notes"]])
    for model in result.get("models", ()):
        which = f"{model['task']} on {model['data']} from {model['start']}, {model['regime']}"
        print_lines([f"Registered: {which}: {model['name']}@{model['version']}, alias {model['alias']}"])
    print_lines([f"Saved: {result['directory']}/table.md, table.json, curves.png"])
