"""The report: complete in itself, nothing injected, every part told or its absence, honest headline."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.report.report_demo import demo_report, item, surface
from training.report import charts as report_charts, pictures as report_pictures
from training.report.data import (
    AuditRow,
    Cases,
    CategoryScores,
    Example,
    QuarantineRow,
    RegisteredModel,
    ReportData,
    StageRow,
    StartRow,
    ThresholdRow,
    TrainingCurve,
)
from training.report.page import brief, duration, headline, render

HOSTILE = "\"><script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)> '{{ 7*7 }}"
VOID = {"meta", "img", "br", "rect", "line", "circle", "polyline", "path", "input", "link", "hr"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that elements are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def html() -> str:
    return render(demo_report())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_it_loads_nothing_and_runs_nothing(html: str, page: Page) -> None:
    assert not re.search(r"https?:", html)
    assert "url(" not in html
    assert "@import" not in html
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "srcset", "data", "xlink:href"):
            assert value.startswith(("data:image/jpeg;base64,", "#"))
    policy = next(value for tag, name, value in page.attributes if tag == "meta" and "default-src" in value)
    assert policy.startswith("default-src 'none'")


def test_it_is_well_formed(html: str, page: Page) -> None:
    assert html.lstrip().startswith("<!DOCTYPE html>")
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    anchors = {value[1:] for _, name, value in page.attributes if name == "href"}
    assert anchors == set(page.ids)
    pictures = page.tags.count("img")
    assert (
        sum(tag == "img" and name == "alt" and bool(value) for tag, name, value in page.attributes)
        == pictures
    )
    charts = page.tags.count("svg")
    assert sum(tag == "svg" and name == "aria-label" for tag, name, _ in page.attributes) == charts >= 8


def test_every_part_is_told(page: Page) -> None:
    for words in (
        "agssp beats scratch by 13.1 mAP points",
        "96 held-out images",
        "AP@0.5:0.95 by class",
        "+13.1",
        "96.2 %",
        "brushed_steel/0002.png",
        "1 pseudo-box ",
        "0 pseudo-boxes",
        "ground truth: no defect",
        "no ground truth",
        "4-shot",
        "Mean of max M",
        "finetune from scratch: metrics",
        "reused",
        "Backbone: attention before and after",
        "truncated file",
        "surfaces-detector-yolov8n",
        "code version",
        "shots: 4",
        "8.4.190",
    ):
        assert words in page.text, words


def test_passwords_are_hidden(html: str) -> None:
    assert "hush" not in html
    assert "postgresql://me:***@db/x" in html


def test_absent_parts_say_so() -> None:
    page = Page(render(ReportData(title="t", created="now", workspace="w", config={}, versions={})))
    assert page.text.count("There is no gallery") == 1
    for words in ("no starts to compare", "no example detections", "no thresholds", "nothing was trained"):
        assert words in page.text
    for words in ("No stage was run", "No image was quarantined", "No model was registered"):
        assert words in page.text
    assert page.open == []


def test_starts_without_scratch_have_nothing_to_be_compared_with(html: str) -> None:
    demo = demo_report()
    others = [start for start in demo.starts if start.start != "scratch"]
    alone = render(dataclasses.replace(demo, starts=others))
    assert "vs scratch" in html
    assert "vs scratch" not in alone
    assert all(start.start in Page(alone).text for start in others)


def test_hostile_names_stay_text() -> None:
    plain = demo_report()
    data = dataclasses.replace(
        plain,
        title=HOSTILE,
        workspace=HOSTILE,
        config={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
        stages=[StageRow(HOSTILE, 1, False, {HOSTILE: HOSTILE})],
        gallery=[dataclasses.replace(plain.gallery[0], category=HOSTILE, name=HOSTILE)],
        thresholds=[ThresholdRow(HOSTILE, 1, 0.5, 0.4)],
        audit=[AuditRow(HOSTILE, HOSTILE, True, True, 0.1, 0.1, 0.1, None, None, None)],
        scores=[CategoryScores(HOSTILE, [0.1], [0.2], 0.15)],
        curves=[TrainingCurve(HOSTILE, [{"epoch": 1, f"loss{HOSTILE}": 1.0, HOSTILE: 0.5}])],
        starts=[StartRow(HOSTILE, 0.5, 0.4, {HOSTILE: 0.1}, 0.5, 1), plain.starts[0]],
        examples=[Example(HOSTILE, HOSTILE, plain.examples[0].picture)],
        quarantine=[QuarantineRow(HOSTILE, HOSTILE, HOSTILE)],
        model=RegisteredModel(HOSTILE, 1, HOSTILE, {HOSTILE: HOSTILE}),
    )
    page = Page(render(data))
    assert "script" not in page.tags
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert all(
        value.startswith(("data:", "#")) for _, name, value in page.attributes if name in ("src", "href")
    )
    assert page.text.count("<script>alert(1)</script>") > 15
    assert "49" not in page.text
    assert page.open == []


def test_rules_of_boxes_are_shown_where_an_audit_chose_them() -> None:
    plain = demo_report()
    title = "Rules of boxes on painted defects"
    assert title not in Page(render(plain)).text
    rows = [
        AuditRow("rail", "rule=standardised cut=2", True, False, 0.8, 0.6, 0.686, 0.7, 0.61, 0.74),
        AuditRow("rail", "rule=paper c=0.1", False, True, None, 0.0, 0.0, None, 0.0, 0.0),
    ]
    page = Page(render(dataclasses.replace(plain, audit=rows)))
    assert title in page.text
    assert "rule=standardised cut=2 chosen" in " ".join(page.text.split())
    assert "rule=paper c=0.1 configured" in " ".join(page.text.split())
    assert "61.0 to 74.0" in page.text


def start(name: str, map50_95: float) -> StartRow:
    return StartRow(name, map50_95 + 0.2, map50_95, {}, None, 1.0)


@pytest.mark.parametrize(
    ("starts", "lead", "verdict", "words"),
    [
        (
            [start("scratch", 0.3), start("agbp", 0.35), start("agssp", 0.33)],
            (0.02, 0.08),
            "gain",
            "agbp beats scratch by 5.0",
        ),
        ([start("scratch", 0.3), start("agssp", 0.304)], (-0.01, 0.02), "tie", "end level (+0.4 mAP points)"),
        ([start("scratch", 0.3), start("agssp", 0.296)], (-0.02, 0.01), "tie", "end level (-0.4 mAP points)"),
        (
            [start("scratch", 0.3), start("agssp", 0.25)],
            (-0.08, -0.02),
            "loss",
            "No start beat scratch: agssp ends 5.0 mAP",
        ),
        ([start("scratch", 0.3), start("agssp", 0.304)], (0.001, 0.007), "gain", "beats scratch by 0.4"),
        (
            [StartRow(name, 0.0, 0.0, {}, None, 1.0) for name in ("scratch", "agssp")],
            None,
            "zero",
            "No start finds anything",
        ),
        ([start("agssp", 0.3)], None, "none", "agssp reaches 30.0"),
        ([start("scratch", 0.3)], None, "none", "scratch reaches 30.0"),
        ([], None, "none", "are ready"),
    ],
)
def test_the_headline_is_honest(
    starts: list[StartRow], lead: tuple[float, float] | None, verdict: str, words: str
) -> None:
    told = headline(starts, 12, 40, lead)
    assert told.verdict == verdict
    assert words in told.sentence


def test_seven_test_boxes_make_no_headline() -> None:
    told = headline([start("scratch", 0.3), start("agssp", 0.6)], 12, 7, (0.1, 0.5))
    assert told.verdict == "few"
    assert "Too few test boxes for a claim" in told.sentence


def test_the_file_stays_small_whatever_the_pictures() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (700, 900, 3), dtype=np.uint8)  # JPEG's worst case
    heat = cv2.resize(item("c", 1, defective=True).anomaly_map, (900, 700))
    worst = dataclasses.replace(item("c", 1, defective=True), image=noise, anomaly_map=heat, mask=heat > 0.5)
    data = dataclasses.replace(
        demo_report(),
        gallery=[worst] * 42,
        examples=[Example("agssp", str(n), noise) for n in range(30)],
        cases=Cases("scratch", "agssp", 20, 20, features=True, picture=np.tile(noise, (2, 1, 1))),
    )
    html = render(data)
    assert len(html.encode()) < 8_000_000
    assert html.count("data:image/jpeg") == 42 * 4 + 30 + 2  # and the sheets of attention and cases


def test_panels_fit_any_shape_and_bad_floats() -> None:
    for shape in ((1, 1), (3, 900), (900, 3)):
        heat = np.full(shape, np.nan, np.float16)
        odd = dataclasses.replace(
            item("c", 1, defective=True),
            image=np.zeros((*shape, 3), np.uint8),
            anomaly_map=heat,
            mask=np.ones(shape, bool),
            boxes=[((-5.0, -5.0, 2000.0, 2000.0), 0.5)],
        )
        low, high = report_pictures.map_range([odd])
        assert report_pictures.overlay(odd, low, high).ndim == 3
        assert report_pictures.masked(odd) is not None
        assert report_pictures.boxed(odd.image, odd.boxes).ndim == 3


def test_the_source_picture_is_not_drawn_on() -> None:
    picture = surface(0)
    before = picture.copy()
    report_pictures.boxed(picture, [((10.0, 10.0, 50.0, 50.0), 0.5)])
    np.testing.assert_array_equal(picture, before)


def test_the_hottest_place_of_the_overlay_is_the_brightest() -> None:
    sample = dataclasses.replace(item("c", 1, defective=True), image=np.full((256, 256, 3), 90, np.uint8))
    picture = report_pictures.overlay(sample, *report_pictures.map_range([sample]))
    hottest = np.unravel_index(int(sample.anomaly_map.argmax()), sample.anomaly_map.shape)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    assert grey[hottest] > grey.max() - 8


def test_charts_of_odd_histories() -> None:
    assert report_charts.curve_charts(TrainingCurve("none", [])) == []
    ((title, svg),) = report_charts.curve_charts(
        TrainingCurve("one", [{"epoch": 1, "loss": float("nan")}, {"epoch": 2, "loss": 3.0}])
    )
    assert title == "one: losses"
    assert "NaN" not in svg
    assert "nan" not in svg


def test_ticks_are_round() -> None:
    assert report_charts.nice_ticks(0, 1) == [0, 0.5, 1]
    assert report_charts.nice_ticks(0, 0.7) == [0, 0.2, 0.4, 0.6]
    assert report_charts.nice_ticks(3, 3) == [3]


def test_times_are_readable() -> None:
    assert [duration(s) for s in (0.44, 42.4, 200, 7500)] == ["0.4 s", "42 s", "3 min 20 s", "2 h 05 min"]
    assert [brief(s) for s in (42.4, 660, 7500)] == ["42 s", "11 min", "2.1 h"]


def test_the_style_sheet_has_every_colour_that_charts_use() -> None:
    style = (Path(report_charts.__file__).parent / "style.css").read_text()
    for number in range(report_charts.SERIES_STYLES):
        assert f".fill{number} " in style
        assert f".stroke{number} " in style
