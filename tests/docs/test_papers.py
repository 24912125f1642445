"""The page of both papers: every row has a command or a reason, and nothing that the code has is left out.

That each command exists and takes its options and keys is held by `test_words`, as on every page.
"""

import re
from itertools import groupby

import pytest
import typer

from agssp import app
from cluster.recipes import recipes
from pipelines.maps import MapsSection
from tests.docs.blocks import inline_commands
from tests.repository import ROOT
from training.agbp import BackboneSection
from training.models.names import (
    backbone_adapters,
    detector_adapters,
    on_backbone_adapters,
    segmenter_adapters,
)
from tuning.studies.study import load_study, studies
from tuning.table4.paper import paper_table4
from tuning.transfer.section import transfer_paper

PAGE = ROOT / "docs/papers.md"
STATES = ("runs here", "runs, needs ", "not built: ")


def tables() -> list[list[list[str]]]:
    """Cells of every table, head and rule included."""
    lines = PAGE.read_text("utf-8").splitlines()
    groups = groupby(lines, key=lambda line: line.startswith("|"))
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in group]
        for is_table, group in groups
        if is_table
    ]


def rows() -> list[list[str]]:
    return [row for table in tables() for row in table[2:]]


def words() -> set[str]:
    """All words in code marks, split at blanks, commas and signs of configs."""
    text = re.sub(r"```.*?```", "", PAGE.read_text("utf-8"), flags=re.DOTALL)
    return {
        word for code in re.findall(r"`([^`]+)`", text) for word in re.split(r"[\s,=\[\]+]+", code) if word
    }


def test_every_row_has_a_command_or_the_reason_why_not() -> None:
    assert len(rows()) > 60
    assert {tuple(table[0]) for table in tables()} == {("what", "command", "state", "needs")}
    commands = {" ".join(words) for _, words in inline_commands(PAGE)}
    for what, command, state, needs in rows():
        assert state.startswith(STATES), what
        assert command == "–" or command.strip("`") in commands, what
        if command == "–":
            assert state.startswith("not built: "), what
        assert needs, what


@pytest.mark.parametrize("kind", ["study", "backbone", "detector", "segmenter", "recipe", "pretext", "maps"])
def test_what_the_code_has_is_on_the_page(kind: str) -> None:
    study = typer.main.get_command(app).get_command(None, "study")  # type: ignore[attr-defined]
    methods = MapsSection.model_fields["method"].annotation
    pretexts = BackboneSection.model_fields["pretext"].annotation
    known = {
        "study": set(study.commands),
        "backbone": set(backbone_adapters),
        "detector": {*detector_adapters, *on_backbone_adapters},
        "segmenter": set(segmenter_adapters),
        "recipe": {f"recipe:{name}" for name in recipes() if name.startswith("paper-")},
        "pretext": set(pretexts.__args__) - {"none"},  # type: ignore[union-attr]
        "maps": set(methods.__args__) - {"kead", "painted"},  # type: ignore[union-attr]
    }[kind]
    assert known
    assert known - words() == set()


def test_what_the_papers_tables_have_is_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    declared = [load_study(name) for name in studies()]
    datasets = {name for study in declared for name in study.paper_datasets}
    datasets |= {line.data for line in transfer_paper().lines}
    models = {row.model for row in paper_table4().rows}
    assert {name for name in datasets | models if name not in text} == set()
    for table in range(1, 7):
        assert f"Table {table}," in text
    for figure in range(1, 8):
        assert re.search(rf"\| Fig\. {figure}\b", text)


def test_what_no_study_can_run_is_said() -> None:
    said = " ".join(row[2] + row[0] for row in rows())
    for name in studies():
        for row in load_study(name).rows:
            if row.not_run:
                assert row.names[0] in said
