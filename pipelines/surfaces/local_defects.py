"""Defects with a place and an outline: lines, holes, slivers, chips, dents."""

import cv2
import numpy as np

from pipelines.surfaces.defect_shapes import Change, blob, dots, place, strokes, tone, wander
from pipelines.surfaces.textures import Field, noise


def crack(rng: np.random.Generator, field: Field) -> Change:
    """Thin dark jagged lines, from a side or within, sometimes branching."""
    size = field.shape[0]
    unit = size / 128
    lines, widths = [], []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        start = rng.uniform(0, size, 2)
        heading = rng.uniform(0, 2 * np.pi)
        if rng.random() < 0.5:
            side = int(rng.integers(4))
            start[side % 2] = 0 if side < 2 else size - 1
            heading = [0, np.pi / 2, np.pi, -np.pi / 2][side] + rng.normal(0, 0.5)
        length = size * rng.uniform(0.06, 0.25) if rng.random() < 0.5 else size * rng.uniform(0.25, 1.1)
        path = wander(rng, start, heading, length, rng.uniform(0.1, 0.5))
        lines.append(path)
        widths.append(max(1, round(unit * rng.uniform(0.6, 2.2))))
        if rng.random() < 0.35:
            root = path[rng.integers(1, len(path))]
            lines.append(wander(rng, root, heading + rng.choice([-0.9, 0.9]), length * 0.4, 0.4))
            widths.append(1)
    cover = strokes(size, lines, widths, unit * rng.uniform(0, 0.8))
    return Change(field * (1 - rng.uniform(0.25, 0.95) * cover), cover)


def scratches(rng: np.random.Generator, field: Field) -> Change:
    """One or several nearly straight, nearly parallel marks, bright or dark."""
    size = field.shape[0]
    heading = rng.uniform(0, np.pi) if rng.random() < 0.6 else rng.choice([0, np.pi / 2])
    centre = rng.uniform(0.1 * size, 0.9 * size, 2)
    spread = size * rng.uniform(0.01, 0.2)
    lines, widths = [], []
    for _ in range(int(rng.choice([1, 1, 2, 3, 6]))):
        length = size * rng.uniform(0.1, 1.2)
        middle = centre + rng.normal(0, spread, 2)
        direction = np.array([np.cos(heading), np.sin(heading)])
        lines.append(
            wander(rng, middle - direction * length / 2, heading + rng.normal(0, 0.03), length, 0.02)
        )
        widths.append(max(1, round(size / 128 * float(rng.choice([0.7, 1, 1.5, 2.5, 4])))))
    cover = strokes(size, lines, widths, size / 128 * rng.uniform(0, 0.9))
    if rng.random() < 0.4:
        cover = cover * np.clip(0.7 + 0.6 * noise(rng, size, 20, 20), 0, 1)
    return Change(tone(rng, field, cover, 0.35), cover)


def pit(rng: np.random.Generator, field: Field) -> Change:
    """One to four small dark holes, some with a lit rim."""
    size = field.shape[0]
    cover = dots(rng, size, int(rng.integers(1, 5)), (size / 128 * 0.9, size / 128 * 4), 1.0)
    changed = tone(rng, field, cover, 0.85)
    if rng.random() < 0.4:
        changed = changed + 0.25 * np.clip(np.roll(cover, 1, (0, 1)) - cover, 0, 1)
    return Change(changed, cover)


def blowhole(rng: np.random.Generator, field: Field) -> Change:
    """A dark round or oval cavity (rarely more), small to medium, sharply bounded."""
    size = field.shape[0]
    cover = np.zeros_like(field)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        r = size / 128 * float(np.exp(rng.uniform(np.log(1.0), np.log(8))))
        shape = (r, r * rng.uniform(0.5, 1.0))
        cover = np.maximum(cover, blob(rng, size, place(rng, size), shape, rough=0.12, soft=0.6))
    strength = rng.uniform(0.3, 0.9)
    changed = field * (1 - strength * cover)
    if rng.random() < 0.35:
        ring = cv2.GaussianBlur(cover, (0, 0), size / 90) - cover
        changed = changed + 0.6 * np.clip(ring, 0, 1) * rng.uniform(0, 0.8)
    return Change(changed, cover)


def inclusion(rng: np.random.Generator, field: Field) -> Change:
    """Drawn-out dark (rarely bright) slivers, alone or in a row."""
    size = field.shape[0]
    cover = np.zeros_like(field)
    angle = float(rng.choice([0, np.pi / 2])) + rng.normal(0, 0.1)
    column = rng.uniform(0.1, 0.9) * size
    for _ in range(int(rng.integers(1, 6))):
        y, x = place(rng, size)
        if rng.random() < 0.6:
            x = column + rng.normal(0, size * 0.05)
        length = size * rng.uniform(0.02, 0.22)
        width = max(0.9, length * rng.uniform(0.08, 0.35))
        cover = np.maximum(cover, blob(rng, size, (y, x), (length, width), rough=0.25, soft=0.9, angle=angle))
    return Change(tone(rng, field, cover, 0.85), cover)


def chip(rng: np.random.Generator, field: Field) -> Change:
    """A piece broken off at a side or corner: a dark or rough area with a lit fracture line."""
    size = field.shape[0]
    cover = np.zeros_like(field)
    for _ in range(int(rng.choice([1, 1, 2]))):
        centre = np.array(rng.uniform(0, size, 2))
        side = int(rng.integers(4))
        centre[side % 2] = size * rng.uniform(-0.03, 0.05) if side < 2 else size * rng.uniform(0.95, 1.03)
        radii = (size * rng.uniform(0.03, 0.16), size * rng.uniform(0.03, 0.16))
        part = blob(rng, size, (centre[0], centre[1]), radii, rough=0.18, soft=rng.uniform(0.4, 2))
        cover = np.maximum(cover, part)
    floor = rng.uniform(0.02, 0.35) if rng.random() < 0.75 else rng.uniform(0.5, 0.95)
    body = floor + rng.uniform(0.01, 0.1) * noise(rng, size, size * 0.15, size * 0.15)
    if rng.random() < 0.3:  # a shallow chip keeps some of the surface
        body = 0.5 * body + 0.5 * field
    changed = field * (1 - cover) + body.astype(np.float32) * cover
    if rng.random() < 0.5:
        soft = cv2.GaussianBlur(cover, (0, 0), size / 128 * rng.uniform(0.8, 2))
        rim = 4 * soft * (1 - soft)
        changed = changed + rim * rng.uniform(-0.35, 0.35)
        cover = np.maximum(cover, rim * 0.8)
    return Change(changed, cover.astype(np.float32))


def dent(rng: np.random.Generator, field: Field) -> Change:
    """A hollow: lit on one flank, shaded on the other."""
    size = field.shape[0]
    radius = size * rng.uniform(0.03, 0.16)
    cy, cx = place(rng, size, 0.1)
    axis = np.arange(size, dtype=np.float32)
    theta = rng.uniform(0, 2 * np.pi)
    y, x = (axis[:, None] - cy) / radius, (axis[None] - cx) / (radius * rng.uniform(0.6, 1.6))
    bump = np.exp(-(y**2 + x**2))
    shade = (np.cos(theta) * x + np.sin(theta) * y) * bump * 2.3
    cover = np.clip(bump * 1.6, 0, 1)
    return Change(
        (field + field * rng.uniform(0.25, 0.9) * shade).astype(np.float32), cover.astype(np.float32)
    )
