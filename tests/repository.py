"""Where this repository is, and what may lie beside it: the one place that counts folders."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def shared(name: str) -> Path:
    """A file or folder below `shared`; a test that needs it, marked `data`, is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"data beside the repository is absent: {path}")
    return path
