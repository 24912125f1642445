"""The device that is taken where none is named."""

import pytest
import torch

from pipelines.device import best_device


@pytest.mark.parametrize(
    ("gpu", "asked", "expected"),
    [
        (True, None, "cuda"),
        (False, None, "cpu"),
        (True, "cpu", "cpu"),
        (False, "cuda:1", "cuda:1"),
        (True, "", "cuda"),
    ],
)
def test_the_device_asked_for_else_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, asked: str | None, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert best_device(asked) == expected
