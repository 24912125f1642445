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


def bf16_advice(precision: str, key: str, *, gain: str, worth: bool) -> str | None:
    """What is said where another precision would suit this CPU; None where none would.

    Commands say it and take no precision by themselves: it decides results, and their fingerprint must be the
    same on every machine that a job starts or goes on on.

    Args:
        precision: that of the job.
        key: dotted path of its config.
        gain: what bf16 would do to the job.
        worth: whether the job is large enough to gain.
    """
    native = bool(bf16_products())
    if precision == "bf16" and not native:
        return f"this CPU emulates products of bf16: {key}=fp32 is as fast or faster"
    if precision == "fp32" and native and worth:
        return f"this CPU has products of bf16: {key}=bf16 {gain}"
    return None
