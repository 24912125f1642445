"""The certificate's page: one HTML document without outside resources."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.html_page import page_environment
from training.certificate.words import percent

TEMPLATE = "page.html.j2"


def render_page(document: Mapping[str, Any], picture: bytes, digest: str) -> str:
    """The page; all text is escaped.

    Args:
        document: content of `certificate.json`.
        picture: SVG of the curve.
        digest: SHA-256 (hex) of `certificate.json`.
    """
    template = page_environment(Path(__file__).parent).get_template(TEMPLATE)
    curve = f"data:image/svg+xml;base64,{b64encode(picture).decode('ascii')}"
    return template.render(document=document, curve=curve, digest=digest, percent=percent, span=_span)


def _span(row: Mapping[str, Any], factor: float, digits: int) -> str:
    """A difference with its interval."""
    if row["difference"] is None or row["low"] is None:
        return "–"
    low, high = factor * row["low"], factor * row["high"]
    return f"{factor * row['difference']:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
