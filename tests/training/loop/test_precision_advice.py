"""A training says which precision would suit the CPU, where it still takes a while."""

import pytest
import torch

from training.loop.precision_advice import LONG_S, say_precision
from training.loop.section import Precision


@pytest.mark.parametrize(
    ("precision", "products", "device", "left_s", "words"),
    [
        ("fp32", ("avx512_bf16",), "cpu", LONG_S, "finetune: from scratch: this CPU has products of bf16"),
        ("fp32", ("avx512_bf16",), "cpu", LONG_S / 2, ""),
        ("fp32", ("avx512_bf16",), "cuda", LONG_S, ""),
        ("fp32", (), "cpu", LONG_S, ""),
        ("bf16", (), "cpu", LONG_S, "loop.precision=fp32 is as fast or faster"),
        ("bf16", ("amx_bf16",), "cpu", LONG_S, ""),
        ("fp16", ("amx_bf16",), "cpu", LONG_S, ""),
    ],
)
def test_a_precision_that_suits_the_cpu_is_named(
    precision: Precision,
    products: tuple[str, ...],
    device: str,
    left_s: float,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cluster.cpu_products.bf16_products", lambda: products)
    say_precision(precision, device=torch.device(device), title="finetune: from scratch", left_s=left_s)
    said = " ".join(capsys.readouterr().err.split())
    assert words in said if words else not said
