"""What a person reads after finetuning and evaluating: the figures of the stages, start by start."""

import pytest

from training.cli.start_tables import render_evaluated, render_finetuned

CLASS = {"map50": 0.5, "boxes": 3}
EVALUATED = {
    "images": 7,
    "boxes": 9,
    "map50": 0.4321,
    "map50_95": 0.25,
    "recall": 0.5,
    "small": None,
    "medium": 0.125,
    "large": 1.0,
    "parameters": 3_012_408,
    "gflops": 0.5056,
    "fps": 22.35,
    "classes": {"hole [big]": CLASS},
}


def test_evaluated_starts_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    other = EVALUATED | {"map50": 0.1, "classes": {"crack": CLASS}}
    result = {
        "starts": {
            "scratch": {"directory": "/w/a", "results": EVALUATED},
            "agssp": {"directory": "/w/b", "results": other},
        },
        "headline": {"verdict": "gain", "sentence": "agssp beats scratch", "interval": (0.01, 0.05)},
    }
    render_evaluated(result)
    shown = capsys.readouterr().out
    assert "agssp beats scratch.\n95 % interval of the difference: +1.0 to +5.0 points" in shown
    lines = shown.splitlines()
    (ap,) = [line for line in lines if "mAP@0.5 " in line and "43.2" in line]
    assert ap.index("43.2") < ap.index("10.0")
    assert any("small" in line and "–" in line for line in lines)
    assert any("3.01 M" in line for line in lines)
    (named,) = [line for line in lines if "hole [big]" in line]
    assert "50.0" in named
    assert "–" in named  # the other start has no such class
    assert any("/w/b" in line for line in lines)


def test_finetuned_starts_tell_where_their_weights_are(capsys: pytest.CaptureFixture[str]) -> None:
    results = {
        "train_images": 24,
        "train_boxes": 31,
        "epochs": 2,
        "loss": 4.5678,
        "training_seconds": 61.2,
    }
    render_finetuned({"starts": {"scratch": {"directory": "/w/a", "results": results}}})
    shown = capsys.readouterr().out
    assert "24" in shown
    assert "4.568" in shown
    assert "–" in shown  # nothing was validated on
    assert "/w/a/detector.safetensors" in shown
