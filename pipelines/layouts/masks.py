"""`masks`: `CATEGORY/(good|DEFECT)/NAME.ext` with the pixel mask beside it as `NAME_mask.png`."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.layouts.base import MASK_SUFFIX, Entry, is_normal, layout


@layout(fits=lambda paths: any(path.stem.endswith(MASK_SUFFIX) and len(path.parts) == 3 for path in paths))
def masks(paths: list[PurePosixPath]) -> Iterable[Entry]:
    """Defect images need a mask to count as labelled; those in a `good` folder are labelled as normal."""
    beside = {path.with_name(path.stem.removesuffix(MASK_SUFFIX)): path for path in paths if _is_mask(path)}
    for path in paths:
        if _is_mask(path) or len(path.parts) < 3:
            continue
        category, defect = path.parts[0], path.parts[1]
        if is_normal(defect):
            yield Entry(str(path), category, normal=True, labelled=True)
            continue
        mask = beside.get(path.with_suffix(""))
        yield Entry(str(path), category, False, defect, str(mask) if mask else None, mask is not None)


def _is_mask(path: PurePosixPath) -> bool:
    return path.stem.endswith(MASK_SUFFIX)
