"""Table 4 of several data sets and encoders: which tables are made, and the joined one beside the paper's."""

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from cluster.stages import Artifact
from cluster.storage.storage import Storage
from tests.tuning.table4.test_table4 import measured_rows
from training.project import Project
from tuning.table4 import study
from tuning.table4.joined import MadeTable, joined, joined_markdown
from tuning.table4.paper import paper_table4
from tuning.table4.runs import table_runs
from tuning.table4.text import comparison


def made(encoder: str) -> dict[str, Any]:
    return {"rows": comparison(measured_rows(), paper_table4(), encoder, defective=50, normal=50)}


def test_the_full_preset_is_the_papers_encoders_on_its_data_sets() -> None:
    runs = table_runs({}, "full", (), {"Steel Pipe": {"corpus": {"root": "/pipes"}}})
    assert [(run.dataset, run.encoder) for run in runs] == [
        (dataset, encoder)
        for dataset in ("Casting Billet", "Steel Pipe")
        for encoder in ("base", "large", "huge")
    ]
    assert [run.project is None for run in runs] == [True] * 3 + [False] * 3
    assert {row["not_run"] for run in runs[:3] for row in run.rows()} == {
        'give the images of "Casting Billet" in --data FILE'
    }
    pipes = runs[-1].project
    assert pipes is not None
    assert (pipes.corpus.root, pipes.maps.encoder.model) == ("/pipes", "huge")


def test_encoders_and_data_are_the_users_own() -> None:
    words = {
        "name": "mine",
        "corpus": {"root": "/a"},
        "maps": {"encoder": {"model": "ViT-B-16", "weights": "/own.safetensors"}, "kead": {"shots": 2}},
    }
    runs = table_runs(words, "cpu", ("ViT-B-16", "base"), {"b": {"corpus": {"root": "/b"}}})
    projects = [run.project for run in runs]
    assert all(project is not None and project.maps.kead.shots == 2 for project in projects)
    found = [
        (run.dataset, run.encoder, run.project.corpus.root, run.project.maps.encoder.weights)
        for run in runs
        if run.project is not None
    ]
    assert found == [
        ("mine", "ViT-B-16", "/a", "/own.safetensors"),
        ("mine", "base", "/a", None),
        ("b", "ViT-B-16", "/b", "/own.safetensors"),
        ("b", "base", "/b", None),
    ]
    (plain,) = table_runs({}, "cpu", (), {})
    assert plain.project is not None
    assert (plain.dataset, plain.encoder) == ("generated", "surface-clip")
    assert plain.project.generate is not None
    (bare,) = table_runs({}, "cpu", (), {"b": {"maps": {"batch_size": 2}}})
    assert bare.project is None
    (own,) = table_runs({"generate": {"categories": ["rail"]}}, "full", ("base",), {})
    assert own.project is not None
    assert own.project.generate is not None
    assert own.project.generate.seed == plain.project.generate.seed == 77
    assert own.project.generate.categories == ("rail",)


def test_faults_of_the_words_are_told() -> None:
    with pytest.raises(UserError, match='no preset "ful"; did you mean "full"'):
        table_runs({}, "ful", (), {})
    with pytest.raises(UserError, match="each encoder once"):
        table_runs({}, "cpu", ("base", "base"), {})
    with pytest.raises(UserError, match=r'The data set "b".*unknown key "corpus\.rot"'):
        table_runs({}, "cpu", (), {"b": {"corpus": {"rot": "b"}}})


def test_the_joined_table_has_every_row_of_the_paper_in_its_order() -> None:
    tables = [
        MadeTable("billet", "base", made("base")),
        MadeTable("billet", "huge", made("huge")),
        MadeTable("pipe", "base", made("base")),
        MadeTable("pipe", "huge", not_run="no weights"),
    ]
    table = joined(tables)
    assert table["header"][5:] == ["billet", "pipe", "paper: Casting Billet", "paper: Steel Pipe"]
    printed = [line[-2:] for line in table["lines"] if line[-1] != "–"]
    assert printed == [
        [f"{pair.image:.1f} / {pair.pixel:.1f}" for pair in (row.casting_billet, row.steel_pipe)]
        for row in paper_table4().rows
    ]
    by_names = {tuple(line[:5]): line[5:7] for line in table["lines"]}
    assert len(by_names) == len(table["lines"])
    assert by_names["KeAD", "huge", "few", "✓", "✓"] == ["91.2 / 80.0", "not run"]
    assert by_names["WinCLIP", "base", "few", "✗", "✗"] == ["91.2 / 80.0", "91.2 / 80.0"]
    assert by_names["KeAD", "large", "few", "✓", "✓"] == ["not run", "not run"]
    assert "Not run: huge on pipe: no weights" in table["notes"]
    bars = {line.count("|") for line in joined_markdown(table).splitlines() if line.startswith("|")}
    assert bars == {10}


def test_a_table_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage itself is tested with `run_table4`; here only what becomes of its tables."""
    folder = Storage.open(str(tmp_path / "w" / "table4" / "a"))

    def stage(project: Project, device: str) -> Artifact:
        if project.corpus.root == "/b":
            raise UserError("b has no labelled images.")
        record = {"results": made("surface-clip"), "seconds": 1.0}
        return Artifact("table4", "0" * 64, folder, record, reused=False)

    monkeypatch.setattr(study, "run_table4", stage)
    words = {"workspace": str(tmp_path / "w"), "corpus": {"root": "/a"}, "name": "mine"}
    runs = table_runs(words, "cpu", (), {"b": {"corpus": {"root": "/b"}}})
    result = study.run_tables(runs, Project.model_validate(words), "cpu")
    (stored,) = (tmp_path / "w" / "study").glob("table4-*/table.json")
    assert str(stored.parent) == result["directory"]
    assert "Not run: surface-clip on b: b has no labelled images." in stored.read_text()
    assert (stored.parent / "table.md").read_text().startswith("# Table 4")
    with pytest.raises(UserError, match="b has no labelled images"):
        study.run_tables(runs[1:], Project.model_validate(words), "cpu")
    with pytest.raises(UserError, match='Give the images of "Casting Billet"'):
        study.run_tables(table_runs({}, "full", (), {}), Project.model_validate(words), "cpu")
