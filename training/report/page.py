"""The report: one self-contained HTML file without scripts, fonts or pictures from elsewhere."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from cluster.html_page import page_environment
from cluster.verdicts import LEADING, StartFigures, best_start, compare_starts
from training.pictures import Picture
from training.report import (
    charts as report_charts,
    detectors as report_detectors,
    pictures as report_pictures,
)
from training.report.data import GalleryItem, ReportData, StartRow
from training.report.lead import BASELINE

TEMPLATE = "page.html.j2"
# JPEG bytes for all pictures of a kind, which keep the file below 8 MB, and for one picture.
GALLERY_BYTES, EXAMPLE_BYTES = 3_500_000, 1_500_000
PANEL_BYTES, SHOT_BYTES = 24_000, 48_000
SHEET_BYTES, CASES_BYTES = 400_000, 500_000
EXAMPLE_SIDE = 560


@dataclass(frozen=True)
class Headline:
    """What was gained, in a sentence and the figures behind it.

    Attributes:
        verdict: see `Comparison`; for the colour.
        sentence: the claim.
        detail: the figures behind the claim.
    """

    verdict: str
    sentence: str
    detail: str


def render(data: ReportData) -> str:
    """The report as one HTML document (below 8 MB); text from the data is escaped.

    Args:
        data: the report's parts; a sentence takes the place of an empty one.
    """
    environment = page_environment(Path(__file__).parent)
    environment.filters |= {
        "duration": duration,
        "brief": brief,
        "ap": percent,
        "figure": figure,
        "label": label,
    }
    template = environment.get_template(TEMPLATE)
    return template.render(
        data=data,
        style=Markup(Path(__file__).with_name("style.css").read_text("utf-8")),
        headline=headline(data.starts, data.held_out, data.test_boxes, data.lead),
        starts=ranked(data.starts),
        class_names=sorted({name for start in data.starts for name in start.classes}),
        charts=report_charts,
        detectors=report_detectors,
        gallery=gallery(data.gallery),
        painted=_sheet_uri(data.painted, SHEET_BYTES),
        attention=_sheet_uri(data.attention, SHEET_BYTES),
        examples=examples(data),
        cases=_sheet_uri(None if data.cases is None else data.cases.picture, CASES_BYTES),
        colour_stops=report_pictures.colour_stops(),
        config=masked_yaml(data.config),
    )


def _sheet_uri(picture: Picture | None, limit: int) -> str | None:
    """A picture within so many bytes as a data URI; None of none."""
    return None if picture is None else report_pictures.fitting_uri(picture, limit)


def headline(
    starts: Sequence[StartRow],
    held_out: int | None,
    boxes: int | None = None,
    lead: tuple[float, float] | None = None,
) -> Headline:
    """What the best start gained over training from scratch, even where it gained nothing.

    Args:
        starts, held_out: see `ReportData`.
        boxes, lead: `test_boxes` and `lead` there.
    """
    if not starts:
        return Headline(
            "none",
            "Anomaly maps and pseudo-boxes are ready",
            "No detector was finetuned, so there is nothing to compare.",
        )
    images = f"{held_out} held-out images" if held_out is not None else "held-out images"
    counted = f" with {boxes} boxes" if boxes is not None else ""
    basis = f"One training per start, measured on {images}{counted}."
    figures = [StartFigures(start.start, start.map50_95, start.map50) for start in starts]
    compared = compare_starts(figures, baseline=BASELINE, boxes=boxes, interval=lead)
    best = best_start(figures, BASELINE)
    baseline = next((start for start in starts if start.start == BASELINE), None)
    if baseline is None or best is None:
        missing = "another" if baseline else "one from scratch"
        return Headline(
            compared.verdict, compared.sentence, f"{basis} Without {missing} there is no gain to tell."
        )
    coarse = ((best.map50 or 0) - baseline.map50) * 100
    detail = (
        f"{LEADING} {percent(best.map50_95)} against {percent(baseline.map50_95)}; "
        f"mAP@0.5 {percent(best.map50)} against {percent(baseline.map50)} ({coarse:+.1f}). {basis}"
    )
    if lead is None:
        detail += " The images are too few for an interval of the difference."
    else:
        low, high = (end * 100 for end in lead)
        detail += (
            f" 95 % interval of the difference: {low:+.1f} to {high:+.1f} points, by drawing the test "
            "images anew; other seeds of the training are not in it."
        )
    return Headline(compared.verdict, compared.sentence, detail)


def ranked(starts: Sequence[StartRow]) -> list[StartRow]:
    """Starts by mAP@0.5:0.95, then by mAP@0.5, the best first."""
    return sorted(starts, key=lambda start: (-start.map50_95, -start.map50))


def gallery(items: Sequence[GalleryItem]) -> list[dict[str, Any]]:
    """Items with their pictures, by category; a category's maps share one colour scale."""
    budget = min(PANEL_BYTES, GALLERY_BYTES // max(4 * len(items), 1))
    groups = []
    for category, members in groupby(sorted(items, key=lambda item: item.category), key=lambda i: i.category):
        rows = list(members)
        low, high = report_pictures.map_range(rows)
        threshold = rows[0].threshold
        groups.append(
            {
                "category": category,
                "low": low,
                "high": high,
                "threshold": threshold,
                "mark": min(max((threshold - low) / (high - low), 0.0), 1.0) * 100,
                "rows": [{"item": item, "panels": panels(item, low, high, budget)} for item in rows],
            }
        )
    return groups


def panels(item: GalleryItem, low: float, high: float, most_bytes: int) -> list[tuple[str, str | None]]:
    """The four pictures of an item as data URIs, by caption; None where there is nothing to show."""
    pictures = (
        ("image", report_pictures.fit(item.image)[0]),
        ("anomaly map", report_pictures.overlay(item, low, high)),
        (
            "ground truth" if item.mask is None or item.mask.any() else "ground truth: no defect",
            report_pictures.masked(item),
        ),
        ("pseudo-boxes", report_pictures.boxed(item.image, item.boxes)),
    )
    return [
        (caption, None if picture is None else report_pictures.fitting_uri(picture, most_bytes))
        for caption, picture in pictures
    ]


def examples(data: ReportData) -> list[dict[str, Any]]:
    """Drawn test images by name, with the starts side by side."""
    budget = min(SHOT_BYTES, EXAMPLE_BYTES // max(len(data.examples), 1))
    by_name: dict[str, list[dict[str, str]]] = {}
    for example in data.examples:
        picture, _ = report_pictures.fit(example.picture, EXAMPLE_SIDE)
        uri = report_pictures.fitting_uri(picture, budget)
        by_name.setdefault(example.name, []).append({"start": example.start, "uri": uri})
    return [{"name": name, "pictures": pictures} for name, pictures in by_name.items()]


def masked_yaml(config: Mapping[str, Any]) -> str:
    """The config as YAML, with passwords in URIs hidden."""
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=100)
    return re.sub(r"://([^/:@\s]*):[^@\s]+@", r"://\1:***@", text)


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def brief(seconds: float) -> str:
    """`42 s`, `11 min`, `2.1 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def percent(share: float | None) -> str:
    """A share of 1 in percent with one decimal; a dash for None."""
    return "–" if share is None else f"{share * 100:.1f}"


def figure(value: Any) -> str:
    """A count or figure as people read it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def label(name: str) -> str:
    """A key as words: `with_boxes` becomes `with boxes`."""
    return name.replace("_", " ")
