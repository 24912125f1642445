"""What a person reads of an audit: rules side by side, the chosen one by kind, and the labels' word."""

import re
from typing import Any

import pytest

from cluster.cli.command import out
from pipelines.audit import shown_rows
from pipelines.boxes import PseudoBoxSettings
from training.cli.audit_commands import agreement_sentence, render_audit

CATEGORY = "hole [big]"


def row(place: int, part: str = "all", *, best: int = 0, own: int = 6, **changes: Any) -> dict[str, Any]:
    """A row of the audit's table: the rule at a place of the ranking."""
    figures = {
        f"{name}{end}": 0.9 - place / 10
        for name in ("precision", "recall", "f1", "iou")
        for end in ("", "_low", "_high")
    }
    return {
        "category": CATEGORY,
        "settings": PseudoBoxSettings(c=place / 100).model_dump_json(),
        "part": part,
        "chosen": place == best,
        "own": place == own,
        "boxes": 4,
        "plain_boxes": None,
        "true_f1": 0.123 if part == "all" else None,
        **figures,
        **changes,
    }


def test_the_first_rules_the_configured_one_and_the_chosen_ones_parts_are_shown() -> None:
    rows = [row(place, part) for part in ("all", "size small", "kind pit") for place in range(8)]
    shown = [(each["settings"], each["part"]) for each in shown_rows(rows)]
    expected = [(row(place)["settings"], "all") for place in (0, 1, 2, 3, 4, 6)]
    expected += [(row(0)["settings"], part) for part in ("size small", "kind pit")]
    assert shown == expected


def test_rules_stand_side_by_side_and_the_reason_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "width", 200)
    sentence = f'"{CATEGORY}" takes rule=paper c=0 delta=auto.'
    told = {"spearman": 0.75, "labels_agree": 0.5, "true_f1": 0.25, "best_true_f1": 0.5}
    table = [row(0), row(1, own=1), row(0, "kind pit", f1_low=None, f1_high=None)]
    render_audit(
        {
            "table": table,
            "directory": "/w/audit/a",
            "results": {
                "verdicts": [{"kind": "audit", "sentence": sentence}],
                "agreement": {CATEGORY: told},
            },
        }
    )
    shown = capsys.readouterr().out
    assert CATEGORY in shown
    lines = shown.splitlines()
    assert any(
        "c=0 delta=auto (chosen)" in line and "90.0 [90–90]" in line and "12.3" in line for line in lines
    )
    assert any("c=0.01 delta=auto (configured)" in line and "80.0" in line for line in lines)
    assert any("kind pit" in line and "–" in line for line in lines)
    assert sentence in shown
    assert agreement_sentence(CATEGORY, told) in shown
    assert "/w/audit/a/sheet.png" in shown


def test_settings_of_a_narrow_terminal_stand_below_in_one_line_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "width", 80)
    table = [row(0), row(1, own=1), row(0, "kind [pit]")]
    render_audit({"table": table, "directory": "/w", "results": {"verdicts": []}})
    lines = capsys.readouterr().out.splitlines()
    assert "1: rule=paper c=0 delta=auto (chosen)" in lines
    assert "2: rule=paper c=0.01 delta=auto (configured)" in lines
    assert any(re.fullmatch(r"2 +4 +80.0 \[80–80\].* 12.3 *", line) for line in lines)
    assert any(line.startswith("kind [pit]") and "90.0 [90–90]" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_the_labels_word_is_honest_where_nothing_can_be_said() -> None:
    alike = agreement_sentence("rail", {"spearman": None, "true_f1": 0.0, "best_true_f1": 0.0})
    assert "tell nothing of the audit" in alike
    unchosen = agreement_sentence(
        "rail", {"spearman": -0.3, "labels_agree": None, "true_f1": None, "best_true_f1": 0.5}
    )
    assert "-0.30;" in unchosen
    assert "chosen" not in unchosen
    told = {"spearman": 0.53, "labels_agree": 0.22, "true_f1": 0.044, "best_true_f1": 0.065}
    assert "of 0.53 (two halves of the labels agree on it by 0.22)" in agreement_sentence("tile", told)
    assert "4.4 of the chosen and 6.5 % of the best" in agreement_sentence("tile", told)
