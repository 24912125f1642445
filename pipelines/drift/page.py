"""The page of a check: verdict, table, and images beside those of the corpus."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from cluster.html_page import jpeg_uri, page_environment
from pipelines.drift.findings import Finding
from pipelines.drift.measures import BY_NAME
from pipelines.images import ImageError, Levels, read_image

TEMPLATE = "page.html.j2"
SIDE = 220  # longer side of a picture, pixels


@dataclass(frozen=True)
class Picture:
    """An image on the page.

    Attributes:
        uri: its address.
        source: a JPEG as a data URI; None where it can't be read any more.
        value: its measure, as it is shown; empty for embeddings.
    """

    uri: str
    source: str | None
    value: str


@dataclass(frozen=True)
class Shown:
    """A measure that moved, with images of both sides."""

    finding: Finding
    new: Sequence[Picture]
    corpus: Sequence[Picture]


def picture(row: Mapping[str, Any], measure: str, levels: Levels | None) -> Picture:
    """An image for the page.

    Args:
        row: a row of the fingerprint, with its `measure`.
        measure: the measure that it is shown for.
        levels: black and white of images of more than 8 bits.
    """
    value = f"{row[measure]:.{BY_NAME[measure].digits}f}" if measure in BY_NAME else ""
    try:
        image = Image.fromarray(read_image(row["uri"], levels))
    except ImageError:
        return Picture(row["uri"], None, value)
    image.thumbnail((SIDE, SIDE), reducing_gap=2.0)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88)
    return Picture(row["uri"], jpeg_uri(stream.getvalue()), value)


def render_page(document: Mapping[str, Any], found: Sequence[Finding], shown: Sequence[Shown]) -> str:
    """One HTML document without scripts or outside resources; all text is escaped.

    Args:
        document: content of `verdict.json`.
        found: every measure.
        shown: those with images.
    """
    template = page_environment(Path(__file__).parent).get_template(TEMPLATE)
    return template.render(document=document, findings=found, shown=shown, digits=_digits)


def _digits(finding: Finding) -> int:
    return BY_NAME[finding.measure].digits if finding.measure in BY_NAME else 3
