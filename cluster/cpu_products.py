"""Which products of small numbers this machine's CPU makes itself."""

import re
from pathlib import Path

BF16 = frozenset({"amx_bf16", "avx512_bf16", "bf16"})  # x86's two, and ARM's


def cpu_flags() -> frozenset[str]:
    """The instruction sets that Linux tells of the CPU; none on other systems."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return frozenset()
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)
    return frozenset(line.group(1).split()) if line else frozenset()


def bf16_products() -> tuple[str, ...]:
    """The CPU's instruction sets with products of bf16, sorted; without one PyTorch emulates them, slowly."""
    return tuple(sorted(cpu_flags() & BF16))
