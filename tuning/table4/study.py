"""Runs the tables of Table 4's study one by one; finished ones are found, the joined one is kept."""

from collections.abc import Sequence

from cluster.errors import UserError
from cluster.progress import say
from cluster.storage import Storage, no_space, workspace_faults
from pipelines.encoder import weights_digest
from training.project import Project
from tuning.study_folder import table_key
from tuning.table4.joined import MadeTable, joined, joined_markdown
from tuning.table4.runs import TableRun
from tuning.table4.stage import run_table4


def run_tables(runs: Sequence[TableRun], project: Project, device: str) -> dict[str, object]:
    """Make every table that can be made, and the joined one; it is written anew after each.

    Writes `table.md` and `table.json` into a folder of the workspace.

    Args:
        runs: see `table_runs`.
        project: project whose `workspace` is read.
        device: torch device of the encoders.

    Returns:
        The joined table with its `directory`.

    Raises:
        UserError: an encoder is none or its weights are not there, the workspace is at fault, or no table at
            all could be made.
    """
    for each in runs:
        if each.project is not None:
            weights_digest(each.project.maps.encoder.model, each.project.maps.encoder.weights)
    if not any(each.project for each in runs):
        raise UserError(
            f'Give the images of "{runs[0].dataset}" in --data FILE, or name images in the config.'
        )
    workspace, tables = Storage.open(project.workspace), list[MadeTable]()
    settings = {"table4": [[each.dataset, each.encoder] for each in runs]}
    key = table_key(settings, [each.project for each in runs if each.project is not None])
    directory = workspace.at("study", f"table4-{key[:16]}")
    faults: list[UserError] = []
    for number, each in enumerate(runs, start=1):
        title = f"table4: table {number} of {len(runs)}, {each.encoder} on {each.dataset}"
        if each.project is None:
            why = f'give the images of "{each.dataset}" in --data FILE'
            tables.append(MadeTable(each.dataset, each.encoder, not_run=why))
            say(f"{title}: not run: {why}")
            continue
        say(title)
        try:
            artifact = run_table4(each.project, device)
        except UserError as error:
            if no_space(error):  # the next table has none either
                raise
            faults.append(error)
            tables.append(MadeTable(each.dataset, each.encoder, not_run=str(error)))
            say(f"{title}: not run: {error}")
            continue
        tables.append(MadeTable(each.dataset, each.encoder, artifact.results))
        with workspace_faults(workspace):
            directory.write_json("table.json", joined(tables))
            directory.write("table.md", joined_markdown(joined(tables)).encode())
    if not any(table.results for table in tables):
        raise faults[0]
    table = joined(tables)
    with workspace_faults(workspace):
        directory.write_json("table.json", table)
        directory.write("table.md", joined_markdown(table).encode())
    return {"directory": directory.uri, **table}
