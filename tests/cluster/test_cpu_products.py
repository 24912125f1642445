"""Which products of small numbers the CPU makes: read as Linux tells it, and as PyTorch sees it."""

import sys
from pathlib import Path

import pytest
import torch

from cluster import cpu_products

X86 = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_tile amx_bf16\nbugs\t\t: spectre_v1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd i8mm bf16\n"
OLD = "processor\t: 0\nflags\t\t: fpu sse2 avx2\n"


@pytest.mark.parametrize(
    ("cpuinfo", "products"),
    [(X86, ("amx_bf16", "avx512_bf16")), (ARM, ("bf16",)), (OLD, ()), ("", ())],
    ids=["x86", "arm", "old", "empty"],
)
def test_products_of_bf16_are_read_from_the_kernel(
    cpuinfo: str, products: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(cpu_products, "Path", lambda _: tmp_path / "cpuinfo")
    assert cpu_products.bf16_products() == products


def test_without_the_kernel_s_word_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cpu_products, "Path", lambda _: tmp_path / "absent")
    assert cpu_products.bf16_products() == ()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell no flags")
def test_pytorch_sees_the_same() -> None:
    seen = torch.cpu._is_avx512_bf16_supported()
    assert ("avx512_bf16" in cpu_products.bf16_products()) == seen
