"""`agssp prompts`: the sentences shown are those KeAD encodes; wrong names are told, exit 2."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from agssp import app
from pipelines.encoder.prompts import load_library
from pipelines.maps.kead import KeAD
from pipelines.maps.section import KeadSettings, WinclipSettings
from pipelines.maps.winclip import WinCLIP
from tests.pipelines.tiny_encoder import tiny_encoder


def show(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["prompts", *words, "--json"], catch_exceptions=False)
    document: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return document | {"exit": result.exit_code}


@pytest.mark.parametrize("features", [True, False])
def test_shown_sentences_are_those_encoded(features: bool) -> None:
    encoder = tiny_encoder()
    seen: list[str] = []

    def spy(texts: list[str]) -> torch.Tensor:
        seen.extend(texts)
        tokens: torch.Tensor = tiny_encoder().tokenizer(texts)
        return tokens

    settings = KeadSettings(shots=0, defect_features=features, redundant_text=True, layers=(2, 4))
    kead = KeAD(type(encoder)(**{**vars(encoder), "tokenizer": spy}), settings)
    kead.category_state(load_library().category("rail"), None)
    shown = show("show", "Rail", f"maps.kead.defect_features={features}", "maps.kead.redundant_text=true")
    groups = [state["sentences"] for kind in ("normal", "anomalous") for state in shown[kind]]
    assert [text for group in groups for text in group] + shown["subtracted"] == seen
    marks = [state["defect"] for state in shown["anomalous"]]
    assert marks == [None] * 4 + (["crack", "pit", "stain", "break"] if features else [])
    assert (shown["exit"], shown["category"], shown["object"]) == (0, "rail", "rail")


def test_winclip_is_shown_its_own_sentences() -> None:
    """It describes no defect and subtracts nothing, whatever is set for KeAD."""
    encoder = tiny_encoder()
    seen: list[str] = []

    def spy(texts: list[str]) -> torch.Tensor:
        seen.extend(texts)
        tokens: torch.Tensor = tiny_encoder().tokenizer(texts)
        return tokens

    section = WinclipSettings(shots=0)
    winclip = WinCLIP(type(encoder)(**{**vars(encoder), "tokenizer": spy}), section)
    winclip.category_state(load_library().category("rail"), None)
    shown = show("show", "rail", "maps.method=winclip", "maps.kead.redundant_text=true")
    groups = [state["sentences"] for kind in ("normal", "anomalous") for state in shown[kind]]
    assert [text for group in groups for text in group] == seen
    assert (shown["method"], shown["defect_features"], shown["subtracted"]) == ("winclip", False, [])
    assert [state["defect"] for state in shown["anomalous"]] == [None] * 4


def test_people_see_every_sentence_under_its_state() -> None:
    result = CliRunner().invoke(app, ["prompts", "show", "magnetic tile"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    state = lines.index("  [flawless magnetic tile]")
    assert lines[state + 1] == "    a photo of a flawless magnetic tile."
    fray = next(number for number, line in enumerate(lines) if line.endswith("(defect features: fray)"))
    assert lines[fray + 1].startswith(
        "    a photo of a magnetic tile with fray defect, it appears as a large"
    )
    assert not any("subtracted" in line for line in lines)


def test_the_configs_own_prompts_are_shown(tmp_path: Path) -> None:
    config = tmp_path / "p.yaml"
    config.write_text(
        "maps: {categories: {My Disc: {object: 'disc [red]{}', defects: [{type: pit, features: holes}]}}}"
    )
    shown = show("show", "my-disc", str(config))
    assert shown["normal"][0]["sentences"][0] == "a photo of a disc [red]{}."
    listed = show("list", str(config))["categories"]
    assert {"category": "my_disc", "object": "disc [red]{}", "defects": ["pit"]} in listed
    assert {row["category"] for row in show("list")["categories"]} == set(load_library().categories)
    people = CliRunner().invoke(app, ["prompts", "list", str(config)])
    assert "disc [red]{}" in people.stdout


def test_unknown_category_is_told() -> None:
    shown = show("show", "magnetic_tiles")
    assert shown["exit"] == 2
    assert 'did you mean "magnetic_tile"?' in shown["error"]
    assert "maps.categories.magnetic_tiles" in shown["error"]
    assert "agssp prompts list" in show("show", "qqqq")["error"]
    assert show("show", "rail", "maps.kaed.shots=1")["exit"] == 2


def test_sentences_that_are_not_read_to_their_end_are_marked(tmp_path: Path) -> None:
    config = tmp_path / "p.yaml"
    features = "bright " * 70
    config.write_text(
        "maps: {categories: {rail: {object: rail, defects: [{type: squat, features: "
        f"{features}}}, {{type: dent, features: dark}}]}}}}}}"
    )
    shown = show("show", "rail", str(config))
    assert shown["exit"] == 0
    assert {(each["defect"], each["context"]) for each in shown["too_long"]} == {("squat", 77)}
    assert len(shown["too_long"]) == 21
    assert show("show", "rail", str(config), "maps.kead.defect_features=false")["too_long"] == []
    assert show("show", "rail")["too_long"] == []
    lines = CliRunner().invoke(app, ["prompts", "show", "rail", str(config)]).stdout.splitlines()
    marked = [line for line in lines if line.endswith("tokens, the encoder reads 77)")]
    assert len(marked) == 21
    assert all(" with squat defect" in line and "(too long: " in line for line in marked)
