"""`magnetic_tile`: `MT_DEFECT/Imgs/NAME.jpg`, the mask beside it as `NAME.png` (Huang et al.)."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.layouts.base import Entry, is_normal, layout

PREFIX = "MT_"


@layout(fits=lambda paths: all(path.parts[0].startswith(PREFIX) for path in paths))
def magnetic_tile(paths: list[PurePosixPath]) -> Iterable[Entry]:
    """One category; `MT_Free` is normal (its masks are empty and not read)."""
    known = set(paths)
    for path in paths:
        if path.suffix.lower() == ".png" or len(path.parts) < 2:
            continue
        defect = path.parts[0].removeprefix(PREFIX).lower()
        if is_normal(defect):
            yield Entry(str(path), "magnetic_tile", normal=True, labelled=True)
            continue
        mask = path.with_suffix(".png")
        has = mask in known
        yield Entry(str(path), "magnetic_tile", False, defect, str(mask) if has else None, has)
