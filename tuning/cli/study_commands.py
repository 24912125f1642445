"""Commands of the declared studies: `agssp study table2`, `fig6-epochs`, …"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from cluster.config import merged, split_words, validate
from cluster.errors import UserError
from cluster.yaml_files import read_config_file
from training.cli.base import artifact_json
from tuning.cli.study_plans import render_plan

Preset = Annotated[str, typer.Option(help="How large: cpu, or full as the paper has it.")]
Data = Annotated[
    Path | None,
    typer.Option(
        help="YAML: settings (corpus: …) of further or missing data sets by name.", show_default=False
    ),
]
Seeds = Annotated[
    str | None, typer.Option(help="Seeds, e.g. 0,1,2; the preset's when left out.", show_default=False)
]
Only = Annotated[
    list[str] | None,
    typer.Option(help="Rows with this word in a name; again for a further word.", show_default=False),
]
Register = Annotated[
    bool,
    typer.Option(
        "--register",
        help="Register the best detector of each data set as candidate, by its validation images.",
    ),
]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be run, and run nothing.")]


def declared(name: str) -> Callable[..., None]:
    """The command of a declared study."""

    def command(
        words: Words = None,
        preset: Preset = "cpu",
        data: Data = None,
        seeds: Seeds = None,
        only: Only = None,
        register: Register = False,
        plan: Plan = False,
        as_json: Json = False,
    ) -> None:
        def body() -> Mapping[str, Any]:
            from training.inputs import check_inputs
            from training.opening import check_project
            from training.project import Project
            from tuning.studies import load_study, plan_cells

            study = load_study(name)
            document, source = merged(*split_words(words), {})
            project = validate(Project, document, source)
            cells = plan_cells(
                study,
                preset,
                document,
                data_sets(data),
                seeds=parse_seeds(seeds),
                only=only or (),
                check=check_inputs if plan else check_project,  # weights bring torch and libraries
            )
            if plan:
                from tuning.studies import cost, planned

                documents = [cell.document(study) for cell in cells]
                gpus = has_gpu() if any(cell.large_step for cell in cells) else None
                title = {"title": study.title, "preset": preset, "gpu": gpus}
                return {**title, "cells": documents, **cost(planned(cells), project.workspace)}
            from tuning.studies import run_study

            result = run_study(name, study, preset, cells, project, registers=register)
            return {"directory": result.directory.uri, **result.table}

        run_command(body, json_mode=as_json, render=render_plan if plan else render_study)

    return command


def fig7(
    words: Words = None,
    preset: Preset = "cpu",
    as_json: Json = False,
) -> None:
    """Adaptive against fixed thresholds by mask IoU (paper, Fig. 7), on labelled maps alone.

    Without images in the config it runs on generated surfaces.
    """

    def body() -> Mapping[str, Any]:
        document, _ = merged(*split_words(words), {})

        from tuning.studies import fig7_project, run_fig7

        return artifact_json(run_fig7(fig7_project(document, preset)))

    run_command(body, json_mode=as_json, render=render_study)


def add_studies(app: typer.Typer) -> None:
    """Give the app a command for every declared study."""
    from tuning.studies import load_study, studies

    for name in studies():
        study = load_study(name)
        help_text = (
            f"{study.title}. Cells already run are found again: the same command goes on. Without images in "
            "the config the cpu preset runs on generated surfaces."
        )
        app.command(name, help=help_text)(declared(name))
    app.command("fig7-threshold")(fig7)


def has_gpu() -> bool:
    """Whether PyTorch finds a GPU on this machine."""
    from pipelines.device import best_device  # brings torch

    return best_device() != "cpu"


def data_sets(path: Path | None) -> dict[str, dict[str, Any]]:
    """Data sets of a `--data` file.

    Raises:
        UserError: the file can't be read, or an entry is no mapping of settings.
    """
    document = read_config_file(path) if path is not None else {}
    for name, config in document.items():
        if not isinstance(name, str) or not isinstance(config, dict):
            raise UserError(f"{path} must hold settings by data set's name; {name} has none.")
    return document


def parse_seeds(text: str | None) -> tuple[int, ...] | None:
    """`0,1,2` as numbers.

    Raises:
        UserError: the text is no such list, or names a seed twice.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) < 2**31 for part in parts) or len(set(parts)) < len(parts):
        raise UserError(f'--seeds "{text}" must list whole numbers below 2³¹, each once, e.g. 0,1,2.')
    return tuple(int(part) for part in parts)


def render_study(result: Mapping[str, Any]) -> None:
    """The table and its notes, for a person."""
    from rich.table import Table
    from rich.text import Text

    table_of = result.get("results", result)
    table = Table(title=table_of["title"], box=None, pad_edge=False, collapse_padding=True)
    for column in table_of["header"]:
        table.add_column(column, overflow="fold")
    for line in table_of["lines"]:
        table.add_row(*(Text(text) for text in line))
    out.print(table)
    for note in table_of["notes"]:
        out.print(Text(note), soft_wrap=True)
    for model in result.get("models", ()):
        text = f"Registered: {model['row']} on {model['dataset']} as {model['name']}@{model['version']}"
        out.print(Text(f"{text}, alias {model['alias']}"), soft_wrap=True)
    picture = ", figure.png" if "cells" in result else ""
    out.print(Text(f"Saved: {result['directory']}/table.md, table.json{picture}"), soft_wrap=True)
