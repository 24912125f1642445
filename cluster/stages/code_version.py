"""Which code made a result: the release, and a digest of the sources as they lie on this machine."""

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("agssp.py", "cluster", "pipelines", "training", "tuning")
KINDS = (".py", ".yaml")


@cache
def code_version() -> str:
    """`RELEASE+DIGEST`, e.g. `0.1.0+3fa94c11d2e0`; it changes with any source or recipe."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for package in PACKAGES:
        top = root / package
        for path in sorted([top] if top.is_file() else top.rglob("*")):
            if path.suffix in KINDS and path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return f"{metadata.version('agssp')}+{digest.hexdigest()[:12]}"
