"""Surface textures: noise, streaks, bands, light, part borders and the camera, as float32 fields."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""(S, S) float32; reflectance and light levels are in 0…1, noise has zero mean and unit deviation."""


@dataclass(frozen=True)
class Style:
    """The look of one production line: amplitudes in reflectance, sizes as fractions of the image's side.

    Attributes:
        base: mean reflectance.
        grain, grain_size: fine isotropic noise and its cell.
        mottle, mottle_size: coarser isotropic noise and its cell.
        cloud: large soft variation.
        streak, streak_width, streak_length, angle: brushing marks; angle in degrees from vertical.
        lines: persistent lines along the streaks, bright or dark.
        speckle: density of small dark or bright grains, per pixel.
        periodic, period: regular ripple along the same direction.
        light: strength of uneven illumination.
        vignette: darkening of the corners.
        border: probability that a side of the part is seen.
        marks: strength of harmless faint lines and blotches.
        noise, blur: the camera's, in levels (0…1) and pixels of a 128-pixel image.
        tint: RGB gains.
        contrast: gain about the mean.
    """

    base: float
    grain: float
    grain_size: float
    mottle: float
    mottle_size: float
    cloud: float
    streak: float
    streak_width: float
    streak_length: float
    angle: float
    lines: float
    speckle: float
    periodic: float
    period: float
    light: float
    vignette: float
    border: float
    marks: float
    noise: float
    blur: float
    tint: tuple[float, float, float]
    contrast: float


def noise(rng: np.random.Generator, size: int, rows: float, columns: float) -> Field:
    """Smooth Gaussian noise with about `rows` × `columns` cells, unit deviation."""
    shape = (int(np.clip(rows, 2, size)), int(np.clip(columns, 2, size)))
    cells = rng.standard_normal(shape, dtype=np.float32)
    if shape == (size, size):
        return cells
    field: Field = cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
    return field


def turned(field_size: int, angle: float, draw: Field) -> Field:
    """Rotate a field drawn on a square √2 larger, and crop it to `field_size`."""
    side = draw.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0)
    start = (side - field_size) / 2
    matrix[:, 2] -= start
    rotated: Field = cv2.warpAffine(draw, matrix, (field_size, field_size), flags=cv2.INTER_LINEAR)
    return rotated


def directional(rng: np.random.Generator, size: int, style: Style) -> Field:
    """Streaks, persistent lines and ripple along the style's angle; amplitudes in reflectance."""
    straight = style.angle in (0.0, 90.0)
    side = size if straight else int(size * 1.45)
    across, along = 1 / style.streak_width, 1 / style.streak_length
    scale = side / size
    field = style.streak * 0.7 * noise(rng, side, along * scale, across * scale)
    field += style.streak * 0.4 * noise(rng, side, along * scale * 2.5, across * scale * 2)
    profile = style.streak * 0.5 * noise(rng, side, 2, across * scale * rng.uniform(0.15, 0.5))[:1]
    if style.lines > 0:
        count = int(rng.integers(1, 14))
        spots = rng.integers(0, side, count)
        profile[0, spots] += style.lines * rng.standard_normal(count, dtype=np.float32) * 1.5
        if rng.random() < 0.5:  # one wide band, lighter or darker than the rest
            edge, width = rng.integers(0, side), int(rng.uniform(0.03, 0.3) * side)
            profile[0, edge : edge + width] += style.lines * rng.normal() * 0.6
    if style.periodic > 0:
        phase = rng.uniform(0, 2 * np.pi)
        ripple = np.sin(np.arange(side, dtype=np.float32) * (2 * np.pi / (style.period * size)) + phase)
        profile = profile + style.periodic * ripple[None]
    # Lines fade and swell along their length.
    field += profile * (1 + 0.35 * noise(rng, side, 3, 6))
    if style.angle == 90.0:
        return np.ascontiguousarray(field.T)
    return field if straight else turned(size, style.angle, field)


def reflectance(rng: np.random.Generator, size: int, style: Style) -> Field:
    """The bare, normal surface under even light, 0.02…1."""
    field = np.full((size, size), style.base * rng.uniform(0.85, 1.15), np.float32)
    field += style.grain * noise(rng, size, 1 / style.grain_size, 1 / style.grain_size)
    if style.mottle > 0.002:
        cells = 1 / style.mottle_size
        field += style.mottle * noise(rng, size, cells, cells)
        field += 0.5 * style.mottle * noise(rng, size, 2.2 * cells, 2.2 * cells)
    if style.cloud > 0.002:
        field += style.cloud * noise(rng, size, 4, 4)
    field += directional(rng, size, style)
    if style.speckle > 0:
        grains = (rng.random((size, size), dtype=np.float32) < style.speckle).astype(np.float32)
        grains = cv2.GaussianBlur(grains, (0, 0), size / 128 * rng.uniform(0.45, 0.8))
        field += grains * float(rng.choice([-1.0, -1.0, 1.0])) * rng.uniform(0.1, 0.35)
    if style.marks > 0:
        field += harmless_marks(rng, size, style.marks)
    mean = float(field.mean())
    contrasted: Field = np.clip(mean + style.contrast * (field - mean), 0.02, 1.0, dtype=np.float32)
    return contrasted


def harmless_marks(rng: np.random.Generator, size: int, strength: float) -> Field:
    """Faint wavy lines, water marks and blotches that inspection lets pass; amplitude about `strength`."""
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(0, 6))):
        points = np.cumsum(rng.normal(0, size * 0.05, (8, 2)) + rng.normal(0, size * 0.05, 2), axis=0)
        points += rng.uniform(0, size, 2)
        level = int(rng.integers(60, 256))
        cv2.polylines(canvas, [np.round(points * 16).astype(np.int32)], False, level, 1, cv2.LINE_AA, 4)
    lines: Field = cv2.GaussianBlur(
        canvas.astype(np.float32) / 255, (0, 0), size / 128 * rng.uniform(0.4, 1.6)
    )
    field = -lines * float(rng.choice([1.0, 1.0, -1.0])) * strength * 1.5
    if rng.random() < 0.5:
        rows, columns = (int(cells) for cells in rng.integers(3, 9, 2))
        blotch = noise(rng, size, rows, columns)
        field -= strength * 0.7 * np.clip(blotch - 0.8, 0, 1.5)
    if rng.random() < 0.3:  # the outline of a dried drop
        contour = noise(rng, size, 4, 4)
        field -= strength * 0.6 * np.exp(-((contour - 0.6) ** 2) / 0.004).astype(np.float32)
    return field


def illumination(rng: np.random.Generator, size: int, style: Style) -> Field:
    """Uneven light: a smooth profile across, a slow field, corner darkening; a factor about 1, ≥ 0.1."""
    field = np.zeros((size, size), np.float32)
    across = noise(rng, size, 2, int(rng.integers(3, 6)))[:1]
    across = cv2.GaussianBlur(np.repeat(across, 2, 0), (0, 0), size * 0.06)[:1]
    field += style.light * across
    field += 0.4 * style.light * noise(rng, size, 3, 3)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    direction = rng.uniform(0, 2 * np.pi)
    slope = style.light * 0.5 * rng.uniform(0, 1)
    field += slope * (np.cos(direction) * axis[None] + np.sin(direction) * axis[:, None])
    if style.vignette > 0:
        cy, cx = rng.uniform(-0.3, 0.3, 2)
        field -= style.vignette * ((axis[None] - cx) ** 2 + (axis[:, None] - cy) ** 2)
    for _ in range(int(rng.integers(0, 3)) if style.light > 0.1 else 0):  # glints, mostly at the sides
        gx = (
            float(rng.choice([-1.0, 1.0])) * rng.uniform(0.8, 1.05)
            if rng.random() < 0.7
            else rng.uniform(-1, 1)
        )
        gy, wy, wx = rng.uniform(-1, 1), rng.uniform(0.15, 1.2), rng.uniform(0.04, 0.25)
        glint = np.exp(-(((axis[:, None] - gy) / wy) ** 2)) * np.exp(-(((axis[None] - gx) / wx) ** 2))
        field += style.light * rng.uniform(-1, 2.5) * glint
    factor: Field = np.clip(np.exp(field), 0.1, 3.0, dtype=np.float32)
    return factor


def part_border(rng: np.random.Generator, size: int, probability: float) -> tuple[Field, Field]:
    """The sides of a part within the picture: dark gaps, arcs, bright rims.

    Returns:
        Cover (0 surface … 1 border) and the border's level, both (S, S).
    """
    cover: npt.NDArray[np.floating] = np.zeros((size, size), np.float32)
    level: npt.NDArray[np.floating] = np.zeros((size, size), np.float32)
    axis = np.arange(size, dtype=np.float32)
    for side in range(4):
        if rng.random() >= probability:
            continue
        depth = size * rng.uniform(0.0, 0.06) * rng.uniform(0.1, 1)
        bow = size * rng.uniform(-0.05, 0.05) * (rng.random() < 0.5)
        tilt = size * rng.uniform(-0.05, 0.05) * (rng.random() < 0.5)
        t = axis / (size - 1) * 2 - 1
        limit = depth + bow * (1 - t**2) * 0.5 + tilt * t * 0.5
        limit += np.cumsum(rng.standard_normal(size, dtype=np.float32)) * size * rng.uniform(0, 0.0012)
        distance = axis[:, None] - limit[None]
        soft = size / 128 * rng.uniform(0.3, 1.5)
        inside = np.clip(0.5 - distance / (2 * soft), 0, 1)
        tone = np.full((size, size), rng.choice([0.02, 0.06, 0.12, 0.2]), np.float32)
        if rng.random() < 0.35:  # a lit rim beyond the dark gap
            rim = np.clip(0.5 - (distance + size * rng.uniform(0.01, 0.03)) / (2 * soft), 0, 1)
            tone += (rng.uniform(0.3, 0.95) - tone) * rim
        if rng.random() < 0.4:  # a lit chamfer on this side of the gap
            width = size * rng.uniform(0.008, 0.03)
            chamfer = np.exp(-(((distance - width) / width) ** 2)) * (1 - inside)
            weight = rng.uniform(0.15, 0.8)
            tone = np.where(inside > 0.5, tone, rng.uniform(0.5, 1.0))
            inside = np.maximum(inside, chamfer * weight)
        turned_inside, turned_tone = (np.rot90(part, side) for part in (inside, tone))
        level = level * (1 - turned_inside) + turned_tone * turned_inside
        cover = np.maximum(cover, turned_inside)
    level = np.where(cover > 1e-3, level / np.maximum(cover, 1e-3), 0)
    return cover.astype(np.float32), np.clip(level, 0, 1).astype(np.float32)
