"""Every command, config and link of the guide holds before the real parser; none is skipped unsaid."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from agssp import app
from cluster.config import load, merge, merged, validate
from cluster.yaml_files import parse_yaml
from docs.generator.config import keys, slug
from pipelines.encoder.prompts import PromptLibrary
from tests.docs.blocks import LANGUAGES, PAGES, Block, blocks, commands, inline_commands, markers
from tests.repository import ROOT
from training.project import Project
from tuning.cli.study_commands import data_sets
from tuning.forecast.section import forecast_preset, forecast_section
from tuning.gain.section import gain_preset, gain_section
from tuning.space import parse_space
from tuning.transfer.section import transfer_preset, transfer_section

ALL = [(block.where, block) for page in PAGES for block in blocks(page)]
SHELL = [(where, block) for where, block in ALL if block.language == "sh"]
SPOKEN = [pair for page in PAGES for pair in inline_commands(page)]
# Said of commands in general.
GENERAL = {"COMMAND"}


def tutorial() -> dict[str, Any]:
    """The tutorial's config, which the other pages' commands go on with."""
    (block,) = [one for one in blocks(ROOT / "docs/tutorial.md") if one.language == "yaml"]
    return parse_yaml(block.text, block.where)


def named(words: list[str]) -> tuple[list[str], Any, list[str]]:
    """The names of commands that words begin with, that command (or group), and the words after it."""
    command: Any = typer.main.get_command(app)
    context: Any = typer.Context(command, info_name="agssp")
    path: list[str] = []
    while words and hasattr(command, "list_commands"):
        below = command.list_commands(context)
        name, words = (
            ("build", words) if "build" in below and words[0] not in below else (words[0], words[1:])
        )
        command = command.get_command(context, name)
        assert command is not None, f"no command {name}"
        path.append(name)
        context = typer.Context(command, info_name=name, parent=context)
    return path, command, words


def check(words: list[str]) -> None:
    """Prove that the parser takes a command, and that its config keys and searched keys exist.

    Raises:
        UsageError: unknown option, missing argument, a value of another type.
        UserError: a config key or value that is at fault.
    """
    path, command, words = named(words)
    params = command.make_context(path[-1], words).params
    if path == ["submit"]:
        check(params["command"])
        return
    given = list(params.get("words") or ())
    overrides = [word for word in given if "=" in word]
    configs = [word for word in given if "=" not in word]
    if path == ["study", "transfer"]:
        document, _ = merged([word for word in configs if word.startswith("recipe:")], overrides, {})
        transfer_section(transfer_preset(params["preset"]), document.pop("transfer", {}))
        validate(Project, document, "Config")
        return
    if path == ["study", "gain"]:
        document, _ = merged([word for word in configs if word.startswith("recipe:")], overrides, {})
        gain_section(gain_preset(params["preset"]), document.pop("gain", {}))
        validate(Project, document, "Config")
        return
    if path == ["forecast"]:
        document, _ = merged([word for word in configs if word.startswith("recipe:")], overrides, {})
        forecast_section(forecast_preset(params["preset"]), document.pop("forecast", {}))
        validate(Project, document, "Config")
        return
    for word in configs:
        assert word.startswith("recipe:") or word.endswith(".yaml"), word
    load(Project, [word for word in configs if word.startswith("recipe:")], overrides, tutorial())
    known = {key for key, _ in keys(Project)}
    for dimension in parse_space(params.get("search") or ()):
        assert dimension.key in known, dimension.key


def agssp(words: list[str]) -> list[str] | None:
    """What follows `agssp`, environment variables before it left out; None for another program."""
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    return words[1:] if words and words[0] == "agssp" else None


def test_the_pages_are_found() -> None:
    assert len(PAGES) > 15
    assert len(SHELL) > 30
    assert len(SPOKEN) > 30


@pytest.mark.parametrize(("where", "block"), ALL, ids=[where for where, _ in ALL])
def test_every_block_says_its_language(where: str, block: Block) -> None:
    assert block.language in LANGUAGES


def test_every_marker_stands_before_a_block_that_would_run() -> None:
    marked = [block for _, block in ALL if block.marker]
    assert len(marked) == sum(map(markers, PAGES))
    assert {block.language for block in marked} <= {"sh", "python"}
    assert all(len(block.reason) > 10 for block in marked)


@pytest.mark.parametrize(("where", "block"), SHELL, ids=[where for where, _ in SHELL])
def test_commands_are_taken_by_the_parser(where: str, block: Block) -> None:
    lines = list(commands(block.text))
    ours = [words for line in lines if (words := agssp(line)) is not None]
    assert ours or block.marker == "not run"
    for words in ours:
        if block.marker != "fails":
            check(words)


@pytest.mark.parametrize(("where", "words"), SPOKEN, ids=[" ".join([w, *s[1:]]) for w, s in SPOKEN])
def test_commands_in_the_text_are_taken_by_the_parser(where: str, words: list[str]) -> None:
    if words[1] in GENERAL:
        return
    path, _, rest = named(words[1:])
    assert path
    if rest:  # else it is named in passing, without what it needs
        check(words[1:])


YAML = [(where, block) for where, block in ALL if block.language == "yaml"]


@pytest.mark.parametrize(("where", "block"), YAML, ids=[where for where, _ in YAML])
def test_configs_are_valid(where: str, block: Block, tmp_path: Path) -> None:
    name = re.match(r"# ([a-z-]+\.yaml)", block.text)
    assert name, "the first line names the file, e.g. # project.yaml"
    document = parse_yaml(block.text, where)
    if name[1] == "prompts.yaml":
        validate(PromptLibrary, document, where)
    elif name[1] == "sets.yaml":
        (tmp_path / name[1]).write_text(block.text)
        for settings in data_sets(tmp_path / name[1]).values():
            validate(Project, settings, where)
    elif name[1] == "gain.yaml":
        chosen = gain_preset("quick")
        gain_section(chosen, document.pop("gain"))
        validate(Project, merge(chosen.project, document), where)
    elif name[1] == "forecast.yaml":
        quick = forecast_preset("quick")
        forecast_section(quick, document.pop("forecast"))
        validate(Project, merge(quick.project, document), where)
    elif name[1] == "transfer.yaml":
        preset = transfer_preset("full")
        transfer_section(preset, document.pop("transfer"))
        validate(Project, merge(preset.project, document), where)
    else:
        validate(Project, document, where)


def links() -> Iterator[tuple[Path, str]]:
    """Every relative link of the pages."""
    for page in [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))]:
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" not in target:
                yield page, target


def anchors(page: Path) -> set[str]:
    """Of a page's headings."""
    lines = page.read_text("utf-8").splitlines()
    return {slug(line.lstrip("#").strip()) for line in lines if re.match("#+ ", line)}


def test_links_lead_somewhere() -> None:
    found = list(links())
    assert len(found) > 50
    for page, target in found:
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(goal), f"{page.name}: {target}"


def test_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "docs/conf.py").read_text("utf-8")
    front = (ROOT / "docs/index.md").read_text("utf-8")
    for page in PAGES[1:]:
        name = str(page.relative_to(ROOT / "docs").with_suffix(""))
        assert name == "index" or (f"\n{name}\n" in contents and f"({name}.md)" in front)
