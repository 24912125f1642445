"""The house as a picture: `python -m docs.generator.rooms` draws which room imports which.

A room is a folder of a package with its whole content; a file at the root of a package is a room of its own.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs/pictures/rooms.svg"
PACKAGES = ("agssp", "tuning", "training", "pipelines", "cluster")  # from the roof to the ground

WIDTH, MARGIN = 1180, 16  # pixels
BOX_HEIGHT, BOX_GAP, ROW_GAP = 26, 12, 46
BAND_HEAD, BAND_PADDING, BAND_GAP = 24, 18, 18
ZIGZAG = 70  # by which every second row lies farther to the right
SIGN_WIDTH = 7.2  # a letter of the boxes' font
COLOURS = {
    "agssp": ("#f3f3f3", "#555555"),
    "tuning": ("#f6eefb", "#7b3fa0"),
    "training": ("#fdf1e7", "#b35c00"),
    "pipelines": ("#eaf4ec", "#2f7d3b"),
    "cluster": ("#eaf1fa", "#2a5fa5"),
}


class Box(NamedTuple):
    """A room's place in the picture, in pixels."""

    left: float
    top: float
    width: float

    @property
    def middle(self) -> float:
        """Its centre from the left."""
        return self.left + self.width / 2


def room_imports() -> dict[str, set[str]]:
    """Every room with the rooms that it imports, itself left out.

    Imports inside functions count; those that only a type checker sees don't.
    """
    imports: dict[str, set[str]] = {}
    for path in _sources():
        room = _room(_name(path))
        named = {_room(module) for module in _imported(path)}
        imports.setdefault(room, set()).update(named - {room})
    return imports


def faults(imports: Mapping[str, set[str]]) -> list[str]:
    """The imports' faults: arrows to a package above, and one circle of rooms if there is any."""
    sentences = [
        f"{room} imports {other}, which is above it"
        for room, others in sorted(imports.items())
        for other in sorted(others)
        if PACKAGES.index(_package(other)) < PACKAGES.index(_package(room))
    ]
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        sentences.append("a circle: " + " -> ".join(reversed(error.args[1])))
    return sentences


@cache
def _sources() -> tuple[Path, ...]:
    """The files of the house, faces among them, in order of their names."""
    inner = (path for package in PACKAGES[1:] for path in (ROOT / package).rglob("*.py*"))
    return (ROOT / "agssp.py", *sorted(path for path in inner if path.suffix in {".py", ".pyi"}))


def _name(path: Path) -> str:
    """A file's module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _modules() -> frozenset[str]:
    return frozenset(map(_name, _sources()))


def _room(module: str) -> str:
    """The room that a module belongs to."""
    return ".".join(module.split(".")[:2])


def _package(room: str) -> str:
    return room.partition(".")[0]


def _imported(path: Path) -> Iterator[str]:
    """The house's modules that a file imports, anywhere in it."""
    here = _name(path) if path.stem == "__init__" else _name(path).rpartition(".")[0]
    for node in _running(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = here.split(".")[: here.count(".") + 2 - node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            whole = [f"{origin}.{alias.name}" for alias in node.names]
            names = [name if name in _modules() else origin for name in whole]
        else:
            continue
        yield from (name for name in names if name in _modules())


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield other
                yield from _running(other)
            continue
        yield node
        yield from _running(node)


def levels(imports: Mapping[str, set[str]], package: str) -> list[list[str]]:
    """A package's rooms by rows from top to bottom: each below all that import it within the package.

    The imports must have no circle.
    """
    inner = {
        room: {other for other in others if _package(other) == package}
        for room, others in imports.items()
        if _package(room) == package
    }
    above: dict[str, set[str]] = {room: {user for user in inner if room in inner[user]} for room in inner}
    row: dict[str, int] = {}
    for room in TopologicalSorter(above).static_order():
        row[room] = 1 + max((row[user] for user in above[room]), default=-1)
    return [sorted(room for room in row if row[room] == number) for number in range(max(row.values()) + 1)]


def picture(imports: Mapping[str, set[str]]) -> str:
    """The drawing as SVG: a band a package, a box a room; arrows between packages are pale.

    The packages' own `__init__.py` are left out: they hold next to nothing.
    """
    imports = {
        room: {other for other in others if _is_drawn(other)}
        for room, others in imports.items()
        if _is_drawn(room)
    }
    boxes: dict[str, Box] = {}
    bands: list[str] = []
    top = float(MARGIN)
    for package in PACKAGES:
        start = top
        top += BAND_HEAD
        for number, row in enumerate(levels(imports, package)):
            for line in _lines(row):
                boxes |= _placed(line, top, ZIGZAG if number % 2 else -ZIGZAG)
                top += BOX_HEIGHT + ROW_GAP
        top += BAND_PADDING - ROW_GAP
        bands.append(_band(package, start, top - start))
        top += BAND_GAP
    pairs = [(room, other) for room in sorted(imports) for other in sorted(imports[room])]
    far = [_arrow(boxes, *pair) for pair in pairs if _package(pair[0]) != _package(pair[1])]
    near = [_arrow(boxes, *pair) for pair in pairs if _package(pair[0]) == _package(pair[1])]
    drawn = [_box(room, box) for room, box in boxes.items()]
    height = top - BAND_GAP + MARGIN
    return "\n".join([_head(height), *bands, *far, *near, *drawn, "</svg>", ""])


def _is_drawn(room: str) -> bool:
    return "." in room or room == PACKAGES[0]


def _shown(room: str) -> str:
    """A room's name within its package."""
    return room.partition(".")[2] or room


def _box_width(room: str) -> float:
    return len(_shown(room)) * SIGN_WIDTH + 18


def _lines(row: list[str]) -> Iterator[list[str]]:
    """A row in as many lines as it needs."""
    line: list[str] = []
    used = 0.0
    for room in row:
        width = _box_width(room) + BOX_GAP
        if line and used + width > WIDTH - 4 * MARGIN:
            yield line
            line, used = [], 0.0
        line.append(room)
        used += width
    yield line


def _placed(line: list[str], top: float, shift: float) -> dict[str, Box]:
    """A line's boxes, evenly over the width; shifted, so that fewer arrows run through boxes."""
    widths = [_box_width(room) for room in line]
    gap = (WIDTH - 4 * MARGIN - sum(widths)) / (len(line) + 1)
    left, placed = 2 * MARGIN + gap + (shift if len(line) < 4 else 0), {}
    for room, width in zip(line, widths, strict=True):
        placed[room] = Box(left, top, width)
        left += width + gap
    return placed


def _head(height: float) -> str:
    marks = "".join(
        f'<marker id="{package}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
        f'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{dark}"/></marker>'
        for package, (_, dark) in COLOURS.items()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12">\n'
        "<title>The rooms of agssp and their imports</title>\n"
        '<rect width="100%" height="100%" fill="white"/>\n'
        f"<defs>{marks}</defs>"
    )


def _band(package: str, top: float, height: float) -> str:
    light, dark = COLOURS[package]
    return (
        f'<rect x="{MARGIN}" y="{top:.0f}" width="{WIDTH - 2 * MARGIN}" height="{height:.0f}" rx="8" '
        f'fill="{light}"/>'
        f'<text x="{MARGIN + 10}" y="{top + 17:.0f}" font-weight="bold" fill="{dark}">{package}</text>'
    )


def _box(room: str, box: Box) -> str:
    dark, baseline = COLOURS[_package(room)][1], box.top + 17
    return (
        f'<rect x="{box.left:.1f}" y="{box.top:.0f}" width="{box.width:.1f}" height="{BOX_HEIGHT}" rx="5" '
        f'fill="white" stroke="{dark}"/>'
        f'<text x="{box.middle:.1f}" y="{baseline:.0f}" text-anchor="middle">{escape(_shown(room))}</text>'
    )


def _arrow(boxes: Mapping[str, Box], room: str, other: str) -> str:
    start, end = boxes[room], boxes[other]
    dark = COLOURS[_package(room)][1]
    bottom, bend = start.top + BOX_HEIGHT, min(60.0, (end.top - start.top) / 2)
    away = _package(room) != _package(other)
    return (
        f'<path d="M{start.middle:.1f},{bottom:.0f} C{start.middle:.1f},{bottom + bend:.0f} '
        f'{end.middle:.1f},{end.top - bend:.0f} {end.middle:.1f},{end.top:.0f}" fill="none" stroke="{dark}" '
        f'stroke-width="{0.6 if away else 1.0}" stroke-opacity="{0.16 if away else 0.6}"'
        + ("/>" if away else f' marker-end="url(#{_package(room)})"/>')
    )


def main() -> None:
    """Draw the picture; exit with 1 and the faults where the house isn't as it should be."""
    imports = room_imports()
    if wrong := faults(imports):
        sys.exit("\n".join(wrong))
    TARGET.write_text(picture(imports), encoding="utf-8")


if __name__ == "__main__":
    main()
