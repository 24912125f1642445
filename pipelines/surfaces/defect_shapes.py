"""The shapes that defects are made of, as covers 0…1 of a surface."""

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.surfaces.textures import Field, noise


@dataclass(frozen=True)
class Change:
    """A surface with its defect.

    Attributes:
        field: (S, S) reflectance, may leave 0…1.
        cover: (S, S), 0 untouched … 1 fully the defect's.
    """

    field: Field
    cover: Field


def blob(
    rng: np.random.Generator,
    size: int,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    rough: float,
    soft: float,
    angle: float | None = None,
) -> Field:
    """Cover of an ellipse with a wobbly outline; centre (y, x), radii and `soft` in pixels."""
    theta = rng.uniform(0, np.pi) if angle is None else angle
    axis = np.arange(size, dtype=np.float32)
    y, x = axis[:, None] - np.float32(centre[0]), axis[None] - np.float32(centre[1])
    c, s = np.float32(np.cos(theta)), np.float32(np.sin(theta))
    distance = np.sqrt(((c * y + s * x) / radii[0]) ** 2 + ((c * x - s * y) / radii[1]) ** 2)
    cells = np.clip(1.6 * size / max(radii), 3, size / 2)
    distance = distance + rough * noise(rng, size, cells, cells)
    cover = np.clip(0.5 + (1 - distance) * (min(radii) / (2 * max(soft, 0.3))), 0, 1)
    return np.asarray(cover, np.float32)


def strokes(size: int, lines: list[np.ndarray], widths: list[int], soft: float) -> Field:
    """Cover of polylines, points (x, y) in pixels."""
    canvas = np.zeros((size, size), np.uint8)
    for points, width in zip(lines, widths, strict=True):
        cv2.polylines(canvas, [np.round(points * 16).astype(np.int32)], False, 255, width, cv2.LINE_AA, 4)
    drawn: Field = canvas.astype(np.float32) / np.float32(255)
    if soft > 0.3:
        drawn = cv2.GaussianBlur(drawn, (0, 0), soft)
        drawn /= max(float(drawn.max()), 1e-3)
    return drawn


def wander(
    rng: np.random.Generator, start: np.ndarray, heading: float, length: float, wobble: float
) -> np.ndarray:
    """A jagged walk of about `length` pixels; (n, 2) points (x, y)."""
    steps = max(4, int(length / 3))
    turns = heading + np.cumsum(rng.normal(0, wobble, steps)) * 0.4 + rng.normal(0, wobble, steps)
    moves = np.stack([np.cos(turns), np.sin(turns)], 1) * (length / steps)
    return np.concatenate([start[None], start + np.cumsum(moves, 0)])


def dots(
    rng: np.random.Generator, size: int, count: int, radius: tuple[float, float], stretch: float
) -> Field:
    """Cover of `count` dots anywhere; radius range in pixels, `stretch` the ratio along the columns."""
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(count):
        r = rng.uniform(*radius)
        y, x = place(rng, size, 0.02)
        axes = (
            max(1, round(r * 16 * rng.uniform(0.7, 1.2))),
            max(1, round(r * 16 * stretch * rng.uniform(0.7, 1.3))),
        )
        box = cv2.ellipse2Poly((round(x * 16), round(y * 16)), axes, int(rng.integers(-20, 20)), 0, 360, 30)
        cv2.fillPoly(canvas, [box], 255, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / np.float32(255)


def tone(rng: np.random.Generator, field: Field, cover: Field, dark: float) -> Field:
    """Blend towards darker (probability `dark`) or brighter by a random strength."""
    strength = float(rng.uniform(0.15, 0.9))
    if rng.random() < dark:
        return field * (1 - strength * cover)
    return field + (1.05 - field) * (0.8 * strength * cover)


def place(rng: np.random.Generator, size: int, margin: float = 0.04) -> tuple[float, float]:
    y, x = rng.uniform(size * margin, size * (1 - margin), 2)
    return float(y), float(x)
