"""Commands about prompts: `agssp prompts list`, `agssp prompts show CATEGORY` and `agssp prompts draft`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from cluster.cli.command import Json, Words, listing_table, out, run_command
from cluster.cli.projects import project_of
from pipelines.category_names import category_key
from pipelines.cli.draft_commands import draft
from pipelines.encoder import TEMPLATES, PromptState, prompt_states
from pipelines.maps import MapsSection, unread

app = typer.Typer()
prompts = typer.Typer(no_args_is_help=True, help="What the encoder is told of each category.")
app.add_typer(prompts, name="prompts")


@prompts.command("list")
def list_command(words: Words = None, as_json: Json = False) -> None:
    """All categories with their object and defect types, the config's own among them."""
    run_command(lambda: prompt_list(project_of(words).maps), json_mode=as_json, render=render_list)


@prompts.command("show")
def show_command(
    category: Annotated[str, typer.Argument(help="As `prompts list` or a folder names it.")],
    words: Words = None,
    as_json: Json = False,
) -> None:
    """The exact sentences that are encoded for one category."""
    run_command(
        lambda: prompt_details(project_of(words).maps, category), json_mode=as_json, render=render_details
    )


prompts.command("draft")(draft)


def prompt_list(maps: MapsSection) -> Mapping[str, Any]:
    """Every category of a config's library, JSON-able.

    Raises:
        UserError: a prompt file can't be used.
    """
    entries = sorted(maps.library().categories.items())
    return {
        "categories": [
            {
                "category": key,
                "object": prompts.object,
                "defects": [defect.type for defect in prompts.defects],
            }
            for key, prompts in entries
        ]
    }


def prompt_details(maps: MapsSection, name: str) -> Mapping[str, Any]:
    """The sentences of one category that the chosen method encodes, by state and in order, JSON-able.

    `subtracted` are the templates around nothing, with `maps.kead.redundant_text` only. `too_long` are the
    sentences that the encoder would not read to their end, each with the number of its `tokens` and of those
    that are read (`context`); the maps stage refuses them.

    Raises:
        UserError: no such category, or a prompt file that can't be used; see `unread`.
    """
    prompts = maps.library().category(name)
    normal, anomalous = prompt_states(prompts, maps.chosen.describes)
    empty = [template.replace("{}", "") for template in TEMPLATES] if maps.chosen.subtracts else []
    return {
        "category": category_key(name),
        "object": prompts.object,
        "method": maps.method,
        "defect_features": maps.chosen.describes,
        "normal": [_state_json(state) for state in normal],
        "anomalous": [_state_json(state) for state in anomalous],
        "subtracted": empty,
        "too_long": [asdict(each) for each in unread(maps, name)],
    }


def _state_json(state: PromptState) -> dict[str, Any]:
    return {"state": state.words, "defect": state.defect, "sentences": list(state.sentences)}


def render_list(result: Mapping[str, Any]) -> None:
    """The table of categories for a person."""
    table = listing_table("category", "object", "defects", whole=0)
    for row in result["categories"]:
        table.add_row(*map(escape, (row["category"], row["object"], ", ".join(row["defects"]))))
    out.print(table)


def render_details(result: Mapping[str, Any]) -> None:
    """Every sentence on a line of its own, under its state, for a person."""
    features = "on" if result["defect_features"] else "off"
    _line(
        f'{result["category"]}: object "{result["object"]}", method {result["method"]}, '
        f"defect features {features}"
    )
    long = {each["sentence"]: each for each in result["too_long"]}
    for kind in ("normal", "anomalous"):
        count = sum(len(state["sentences"]) for state in result[kind])
        _line(f"\n{kind}: {count} sentences in {len(result[kind])} states")
        for state in result[kind]:
            mark = f"  (defect features: {state['defect']})" if state["defect"] else ""
            _line(f"\n  [{state['state']}]{mark}")
            for sentence in state["sentences"]:
                _line(f"    {sentence}{_cut_off(long.get(sentence))}")
    if result["subtracted"]:
        _line(f"\nsubtracted (redundant_text): {len(result['subtracted'])} sentences\n")
        for sentence in result["subtracted"]:
            _line(f"    {sentence}")
    if long:
        _line(f"\n{len(long)} sentences are too long for the encoder: agssp maps refuses this category")


def _cut_off(long: Mapping[str, Any] | None) -> str:
    if long is None:
        return ""
    return f"  (too long: {long['tokens']} tokens, the encoder reads {long['context']})"


def _line(text: str) -> None:
    out.print(text, markup=False, soft_wrap=True)
