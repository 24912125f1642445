"""Which rows of Table 4 would be run, told by the config alone."""

from typing import Any

from cluster.errors import UserError
from pipelines.heads import required_head
from pipelines.maps import MapsSection
from tuning.table4.grid import ROWS


def planned_rows(maps: MapsSection) -> list[dict[str, Any]]:
    """Every row of ours with the reason why it can't be run, or None; JSON-able.

    What images and encoder say (references that are missing, too few patches) is known when it runs.

    Args:
        maps: the project's config.
    """
    return [
        {
            "model": row.model,
            "mode": row.mode,
            "defect_features": row.defect_features,
            "vv": row.vv,
            "not_run": lacking(row.section(maps), few=row.mode == "few"),
        }
        for row in ROWS
    ]


def lacking(section: MapsSection, *, few: bool) -> str | None:
    """What a row's config lacks; None where it can be run."""
    if few and not section.shots:
        return f"{section.shots_setting} is 0"
    if not section.trained:
        return None
    try:
        required_head(section.method, section.head)
    except UserError as error:
        return str(error)
    return None
