"""The report's charts as inline SVG, coloured by the page's CSS variables, so light and dark both work."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from markupsafe import Markup

from training.report.data import CategoryScores, StageRow, StartRow, TrainingCurve

SERIES_STYLES = 6  # colours and dashes in the style sheet
POSITION = {"epoch", "step", "lr", "images_per_s", "seconds"}  # columns of a history that hold no result


@dataclass(frozen=True)
class Series:
    """A named line: points (x, y), at least one; the legend shows `note`, or the last y."""

    name: str
    points: Sequence[tuple[float, float]]
    note: str = ""


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (1, 2, 5 × 10ⁿ apart) within [low, high]."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_text(value: float) -> str:
    """A tick's short label."""
    return f"{value:g}" if abs(value) < 1e4 else f"{value:.0e}"


def _figure(
    width: int, height: float, title: str, description: str, body: Sequence[str], kind: str = "chart"
) -> Markup:
    """An SVG that scales with its column and tells its content to screen readers."""
    label = escape(f"{title}. {description}", quote=True)
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height:g}" role="img" aria-label="{label}">'
        f"{''.join(body)}</svg>"
    )


def _text(x: float, y: float, text: str, kind: str = "label", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" class="{kind}"/>'


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def starts_chart(starts: Sequence[StartRow]) -> Markup:
    """Horizontal bars of both APs by start in percent, from 0 to a round number above the best."""
    width, left, right, row, bar = 480, 92, 44, 50, 17
    best = max(max(start.map50, start.map50_95) for start in starts) * 100
    step = next(step for step in (1, 2, 5, 10, 20) if best < step * 5)
    top = min(100, step * (math.floor(best / step) + 1))
    height = row * len(starts) + 28
    scale = (width - left - right) / top
    body = []
    for tick in range(0, top + 1, step):
        x = left + tick * scale
        body += [_line(x, 2, x, height - 24, "grid"), _text(x, height - 8, str(tick), "tick", "middle")]
    for index, start in enumerate(starts):
        y = index * row + 6
        body.append(_text(left - 10, y + bar + 5, _clip(start.start, 13), "name", "end"))
        for value, style, offset in ((start.map50, 0, 0), (start.map50_95, 1, bar + 2)):
            length = max(value * 100 * scale, 1)
            size = f'width="{length:.1f}" height="{bar}" rx="3"'
            body.append(f'<rect x="{left}" y="{y + offset}" {size} class="fill{style}"/>')
            body.append(_text(left + length + 6, y + offset + 13, f"{value * 100:.1f}", "value"))
    description = "; ".join(f"{s.start}: {s.map50:.3f} and {s.map50_95:.3f}" for s in starts)
    return _figure(width, height, "mAP@0.5 and mAP@0.5:0.95 by start", description, body)


def lines_chart(title: str, series: Sequence[Series], *, across: str = "epoch") -> Markup:
    """Lines (at most `SERIES_STYLES`) from 0 upwards, over epochs (or what `across` names), and a legend."""
    width, left, right, top, plot = 440, 46, 14, 12, 190
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    x0, x1 = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
    low = min(0.0, *ys)
    high = max(ys) + ((max(ys) - low) * 0.06 or 1e-3)

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            left + (x - x0) / (x1 - x0) * (width - left - right),
            top + plot - (y - low) / (high - low) * plot,
        )

    body = []
    for tick in nice_ticks(low, high):
        y = at(x0, tick)[1]
        body += [
            _line(left, y, width - right, y, "grid"),
            _text(left - 7, y + 4, tick_text(tick), "tick", "end"),
        ]
    for tick in nice_ticks(x0, x1, 6):
        if across != "epoch" or tick == int(tick):
            body.append(_text(at(tick, low)[0], top + plot + 18, tick_text(tick), "tick", "middle"))
    body.append(_text(width - right, top + plot + 34, across, "tick", "end"))
    legend_x, legend_y = float(left), top + plot + 36
    for index, line in enumerate(series):
        points = [at(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        body.append(f'<polyline points="{path}" class="stroke stroke{index}"/>')
        x, y = points[-1]
        body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" class="fill{index}"/>')
        label = f"{_clip(line.name, 24)} {line.note or format(line.points[-1][1], '.3g')}"
        length = 36 + 7 * len(label)
        if legend_x + length > width - right - 44 and legend_x > left:
            legend_x, legend_y = float(left), legend_y + 19
        body.append(_line(legend_x, legend_y - 4, legend_x + 20, legend_y - 4, f"stroke stroke{index}"))
        body.append(_text(legend_x + 26, legend_y, label))
        legend_x += length + 8
    description = "; ".join(
        f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in series
    )
    return _figure(width, legend_y + 12, title, description, body)


def curve_charts(curve: TrainingCurve) -> list[tuple[str, Markup]]:
    """A training's losses in one chart, its metrics in another, each with its title."""
    columns = dict.fromkeys(name for row in curve.rows for name in row)
    names = [name for name in columns if name not in POSITION]
    losses = [name for name in names if name.startswith("loss")]
    metrics = [name for name in names if not name.startswith("loss")]
    charts = []
    for kind, group in (("losses", losses), ("metrics", metrics)):
        drawn = [line for line in (_series(curve, name) for name in group) if line.points]
        if drawn:
            title = f"{curve.name}: {kind}"
            charts.append((title, lines_chart(title, drawn[:SERIES_STYLES])))
    return charts


def _series(curve: TrainingCurve, name: str) -> Series:
    points = []
    for index, row in enumerate(curve.rows):
        value, epoch = row.get(name), row.get("epoch")
        if value is not None and math.isfinite(value):
            points.append((float(epoch if epoch is not None else index + 1), float(value)))
    return Series(name, points)


def scores_chart(scores: CategoryScores) -> Markup:
    """Histograms of image scores (at least one finite): normal images upwards, defective ones downwards."""
    width, left, right, half, bins = 440, 12, 12, 62, 28
    groups = [np.asarray(values, dtype=float) for values in (scores.normal, scores.defective)]
    groups = [values[np.isfinite(values)] for values in groups]
    everything = np.concatenate(groups)
    low, high = float(everything.min()), float(everything.max())
    high = max(high, low + 1e-3)
    edges = np.linspace(low, high, bins + 1)
    # Shares, not counts: a test split has many more normal images than defective ones, or the reverse.
    shares = [np.histogram(values, edges)[0] / max(len(values), 1) for values in groups]
    tallest = max(float(share.max()) for share in shares) or 1.0
    middle = 20 + half
    step = (width - left - right) / bins
    body = []
    for group, (share, sign) in enumerate(zip(shares, (-1, 1), strict=True)):
        for index, value in enumerate(share):
            tall = float(value) / tallest * half
            y = middle + (sign - 1) / 2 * tall + sign
            body.append(
                f'<rect x="{left + index * step + 0.5:.1f}" y="{y:.1f}" width="{step - 1:.1f}" '
                f'height="{tall:.1f}" class="fill{group}"/>'
            )
    body.append(_line(left, middle, width - right, middle, "axis"))
    bottom = middle + half
    for tick in nice_ticks(low, high, 5):
        x = left + (tick - low) / (high - low) * (width - left - right)
        body.append(_text(x, bottom + 18, tick_text(tick), "tick", "middle"))
    body.append(_text(left, 12, f"normal ({len(groups[0])})"))
    body.append(_text(left, bottom - 2, f"defective ({len(groups[1])})"))
    if low <= scores.delta <= high:
        x = left + (scores.delta - low) / (high - low) * (width - left - right)
        body.append(_line(x, 4, x, bottom, "mark"))
        body.append(_text(x - 5, 12, "δ", anchor="end"))
    description = "; ".join(
        f"{len(values)} {name}, median {_median(values)}"
        for name, values in zip(("normal", "defective"), groups, strict=True)
    )
    return _figure(width, bottom + 26, f"Image scores of {scores.category}", description, body)


def _median(values: "np.ndarray") -> str:
    return f"{float(np.median(values)):.3g}" if values.size else "none"


def shares_chart(stages: Sequence[StageRow]) -> Markup:
    """One bar cut by the stages' seconds; a stage too short for its name is named in the table below."""
    width, height = 1040, 34
    total = sum(stage.seconds for stage in stages) or 1.0
    x, body = 0.0, []
    for index, stage in enumerate(stages):
        wide = stage.seconds / total * width
        body.append(
            f'<rect x="{x:.1f}" y="0" width="{max(wide - 1.5, 0.5):.1f}" height="{height}" '
            f'class="fill{index % SERIES_STYLES}"><title>{escape(stage.name)}</title></rect>'
        )
        if wide > 8 * len(stage.name) + 14:
            body.append(_text(x + 9, 22, stage.name, "on-fill"))
        x += wide
    description = "; ".join(f"{stage.name} {stage.seconds / total:.0%}" for stage in stages)
    return _figure(width, height, "Share of the time by stage", description, body, "chart wide")
