"""What a stage's command tells a person at its end."""

import pytest

from training.cli.base import render_stage


def test_figures_and_the_whole_path_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    directory = "/data/" + "a-long-name/" * 12 + "detector/342da1411da532e7"
    said = "nothing is cut " * 12
    render_stage(
        {
            "stage": "detector",
            "directory": directory,
            "fingerprint": "f" * 64,
            "reused": False,
            "seconds": 1.5,
            "results": {
                "images": 805,
                "note": said,
                "thresholds": {"steel_strip": 0.8411},
                "transfer": {"parts": {"neck": {"tensors": 0}}, "unused": 0},
            },
        }
    )
    *table, last = capsys.readouterr().out.splitlines()
    assert last == f"Result: {directory}"
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in table if "│" in line]
    assert ["images", "805"] in cells
    assert ["thresholds.steel_strip", "0.8411"] in cells
    assert not [name for name, _ in cells if name.startswith("transfer")]
    assert sum(value.split().count("cut") for _, value in cells) == 12
