"""Figures of finished stages: memory by its device, and no stage trained only to be asked."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.repository import shared
from tuning.outcomes import at_kept_epoch, measured
from tuning.studies import cells
from tuning.studies.plan import plan_cells
from tuning.studies.study import load_study
from tuning.transfer.section import transfer_paper


@pytest.mark.parametrize(
    ("device", "gpu", "cpu"),
    [("CPU, 2 threads", None, 12.5), ("NVIDIA H200", 12.5, None), (None, None, None)],
)
def test_memory_stands_under_its_device(device: str | None, gpu: float | None, cpu: float | None) -> None:
    artifact = SimpleNamespace(results={"peak_memory_mib": 12.5, "device": device, "fps": 4})
    pipeline: Any = SimpleNamespace(evaluated=lambda start: artifact)
    assert measured("evaluate.gpu_mib", pipeline, "coco") == gpu
    assert measured("evaluate.cpu_mib", pipeline, "coco") == cpu
    assert measured("evaluate.fps", pipeline, "coco") == 4.0


HISTORY: list[dict[str, float | None]] = [
    {"epoch": 0, "map50": 0.9, "map50_95": 0.9},  # before the first step: never kept
    {"epoch": 1, "map50": 0.7, "map50_95": 0.2},
    {"epoch": 2, "map50": None, "map50_95": None},
    {"epoch": 3, "map50": 0.5, "map50_95": 0.4},
    {"epoch": 4, "map50": 0.6, "map50_95": 0.4},  # no better than epoch 3, which stays
    {"epoch": 5, "map50": 0.1, "map50_95": 0.3},
]


@pytest.mark.parametrize(
    ("figure", "best_metric", "value"),
    [
        ("map50_95", "map50_95", 0.4),
        ("map50", "map50_95", 0.5),  # 0.7 was reached by weights that are gone
        ("map50_95", "map50", 0.2),
        ("map50", None, 0.1),
        ("map75", "map50", None),
    ],
)
def test_a_figure_is_that_of_the_weights_that_are_kept(
    figure: str, best_metric: str | None, value: float | None
) -> None:
    assert at_kept_epoch(HISTORY, figure, best_metric) == value
    table = SimpleNamespace(to_pylist=lambda: HISTORY)
    artifact = SimpleNamespace(directory=SimpleNamespace(read_table=lambda name: table))
    section = SimpleNamespace(loop=SimpleNamespace(best_metric=best_metric))
    pipeline: Any = SimpleNamespace(
        finetuned=lambda start: artifact, project=SimpleNamespace(finetune=section)
    )
    if figure != "map75":
        assert measured(f"finetune.{figure}", pipeline, "coco") == value


def test_a_row_is_asked_for_no_stage_that_it_doesnt_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector is not pretrained to tell the time of a row that starts from scratch."""
    asked: list[tuple[str, str]] = []

    def figure(name: str, pipeline: Any, start: str) -> float:
        asked.append((name, start))
        return 1.0

    monkeypatch.setattr(cells, "measured", figure)
    parts = SimpleNamespace(backbone=None, detector=None)
    monkeypatch.setattr(cells, "Pipeline", lambda project, site: parts)
    site: Any = None
    for cell in plan_cells(load_study("fig6-freeze"), "cpu", {}, {}, seeds=(0,), only=()):
        figures = cells.measured_cell(cell, ("detector.training_seconds", "backbone.training_seconds"), site)
        assert cell.target is not None
        (start,) = cell.target.finetune.starts
        assert figures["detector.training_seconds"] == (1.0 if start == "agssp" else None)
        assert figures["backbone.training_seconds"] == (None if start == "scratch" else 1.0)
    assert {start for name, start in asked if name.startswith("detector.")} == {"agssp"}


@pytest.mark.data
def test_the_contradictions_are_the_summarys_own() -> None:
    text = shared("reference/papers/000_bb70fb365577f82b.txt").read_text()
    severstal, rings, castings = transfer_paper().contradictions
    for figure in ("+10.59 mIoU", "63.28", "64.01"):
        assert figure in severstal
        assert figure in text
    for figure in ("+10.29 mIoU", "73.87"):
        assert figure in rings
        assert figure in text
    assert "box mAP@50" in castings
    assert "box mAP@50" in text
    assert "29.74 box mAP" in text
