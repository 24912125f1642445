"""A loop's page: one HTML file that loads nothing from elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.html_page import page_environment
from training.active_learning.standing import Standing

PAGE_FILE, TEMPLATE = "loop.html", "page.html.j2"


def render_page(standing: Standing) -> str:
    """One HTML document without scripts or outside resources; all text is escaped."""
    template = page_environment(Path(__file__).parent).get_template(TEMPLATE)
    return template.render(standing=standing, points=points, share=share)


def share(value: float | None) -> str:
    """A share of 0…1 in percent, e.g. `31.2`; a dash of nothing."""
    return "–" if value is None else f"{100 * value:.1f}"


def points(row: Mapping[str, Any]) -> str:
    """The difference with its interval in points, e.g. `+3.2 (+1.0 to +5.1)`; a dash of nothing."""
    difference, low, high = row["difference"], row["low"], row["high"]
    if difference is None:
        return "–"
    ends = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * difference:+.1f}{ends}"
