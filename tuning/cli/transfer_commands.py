"""The command `agssp study transfer`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, out, run_command
from cluster.config import merged, section_of
from tuning.pace import about

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
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be run, and run nothing.")]


def transfer(words: Words = None, preset: Preset = "cpu", plan: Plan = False, as_json: Json = False) -> None:
    """Which start suits these images: segmentation and detection from every start, frozen and finetuned.

    Trainings already run are found again: the same command goes on.
    """

    def body() -> Mapping[str, Any]:
        arguments = words or []
        configs = [word for word in arguments if is_config(word)]
        overrides = [word for word in arguments if "=" in word and not is_config(word)]
        folders = [word for word in arguments if word not in configs and word not in overrides]
        document, _ = merged(configs, overrides, {})

        from tuning.transfer import (
            cell_count,
            data_sets,
            estimated_seconds,
            finished_seconds,
            transfer_preset,
            transfer_section,
        )

        chosen = transfer_preset(preset)
        section = transfer_section(chosen, section_of(document, "transfer"))
        document.pop("transfer", None)
        sets = data_sets(chosen, folders, document, section)
        if plan:
            return {
                "data": [data.name for data in sets],
                "trainings": cell_count(section, sets),
                "finished": finished_seconds(sets[0].project.workspace),
                "estimated_seconds": estimated_seconds(section, sets),
                "transfer": section.model_dump(mode="json"),
            }
        from tuning.transfer import run_transfer

        result = run_transfer(preset, chosen, section, sets)
        return {"directory": result.directory.uri, **result.table}

    run_command(body, json_mode=as_json, render=render_plan if plan else render)


def is_config(word: str) -> bool:
    """Whether a word is a YAML file or recipe, and not a folder or an override."""
    return word.startswith("recipe:") or word.endswith((".yaml", ".yml"))


def render_plan(result: Mapping[str, Any]) -> None:
    """What would be trained, on one screen."""
    from rich.text import Text

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
            f"  start {name}: {start['backbone']} from {start['weights']}: runs"
            f"{', after a pretraining on each data set' if start['weights'] == 'agbp' else ''}"
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
    for line in lines:
        out.print(Text(line), soft_wrap=True)


def _few(values: Sequence[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:MOST_NAMES])
    return shown if len(values) <= MOST_NAMES else f"{shown} … ({len(values)} in all)"


def render(result: Mapping[str, Any]) -> None:
    """The table, the recommendation and the paper's figures, for a person."""
    from rich.table import Table
    from rich.text import Text

    for title, part in ((result["title"], result), ("The paper's figures", result["paper"])):
        table = Table(title=title, box=None, pad_edge=False, collapse_padding=True)
        for column in part["header"]:
            table.add_column(column, overflow="fold")
        for line in part["lines"]:
            table.add_row(*(Text(text) for text in line))
        out.print(table)
    for note in [*result["recommendation"], *result["notes"]]:
        out.print(Text(note), soft_wrap=True)
    out.print(Text(f"Saved: {result['directory']}/table.md, table.json, curves.png"), soft_wrap=True)
