"""Defects that spread over an area: blotches, worn or uneven skin, swarms of specks, nets of cracks."""

import cv2
import numpy as np

from pipelines.surfaces.defect_shapes import Change, blob, dots, place, tone
from pipelines.surfaces.textures import Field, noise


def stain(rng: np.random.Generator, field: Field) -> Change:
    """A soft blotch, or the outline a drop left."""
    size = field.shape[0]
    radii = (size * rng.uniform(0.05, 0.3), size * rng.uniform(0.05, 0.3))
    cover = blob(
        rng, size, place(rng, size), radii, rough=rng.uniform(0.05, 0.3), soft=size * rng.uniform(0.005, 0.05)
    )
    if rng.random() < 0.3:
        edge = cv2.GaussianBlur(cover, (0, 0), size * 0.012)
        cover = (4 * edge * (1 - edge)).astype(np.float32)
    elif rng.random() < 0.4:
        cover = cover * np.clip(0.8 + 0.4 * noise(rng, size, 12, 12), 0, 1)
    return Change(tone(rng, field, cover, 0.7), cover)


def patches(rng: np.random.Generator, field: Field) -> Change:
    """Several irregular areas of another tone with ragged outlines."""
    size = field.shape[0]
    cover = np.zeros_like(field)
    for _ in range(int(rng.integers(1, 5))):
        radii = (size * rng.uniform(0.05, 0.3), size * rng.uniform(0.04, 0.15))
        part = blob(rng, size, place(rng, size), radii, rough=0.3, soft=1.5, angle=rng.normal(0, 0.4))
        cover = np.maximum(cover, part)
    cover = cover * np.clip(0.9 + 0.25 * noise(rng, size, 24, 24), 0, 1)
    return Change(tone(rng, field, cover, 0.85), cover)


def pitted_surface(rng: np.random.Generator, field: Field) -> Change:
    """Very many tiny dark dots, everywhere or over one area; the area counts as defective."""
    size = field.shape[0]
    unit = size / 128
    specks = dots(rng, size, int(rng.integers(40, 220)), (0.6 * unit, rng.uniform(0.9, 2.2) * unit), 1.2)
    area = np.ones_like(field)
    if rng.random() < 0.7:
        area = blob(
            rng, size, place(rng, size), (size * 0.35, size * rng.uniform(0.15, 0.5)), rough=0.2, soft=4
        )
    specks = specks * (area > 0.5)
    cover = cv2.GaussianBlur(specks, (0, 0), 2 * unit) * 4
    return Change(field * (1 - rng.uniform(0.25, 0.8) * specks), np.clip(cover, 0, 1).astype(np.float32))


def rolled_in_scale(rng: np.random.Generator, field: Field) -> Change:
    """Clusters of dark, drawn-out flecks."""
    size = field.shape[0]
    ratio = rng.uniform(0.25, 1)
    flecks = np.clip((noise(rng, size, size * 0.2 * ratio, size * 0.2) - rng.uniform(0.6, 1.3)) * 2.5, 0, 1)
    area = np.zeros_like(field)
    for _ in range(int(rng.integers(1, 4))):
        radii = (size * rng.uniform(0.08, 0.3), size * rng.uniform(0.08, 0.4))
        area = np.maximum(area, blob(rng, size, place(rng, size), radii, rough=0.3, soft=4))
    flecks = flecks * area
    if rng.random() < 0.5:
        flecks = flecks.T
    cover = np.clip(cv2.GaussianBlur(flecks, (0, 0), size / 128 * 1.5) * 3, 0, 1)
    return Change(tone(rng, field, np.ascontiguousarray(flecks), 0.9), cover.astype(np.float32))


def fray(rng: np.random.Generator, field: Field) -> Change:
    """A large area whose skin is worn: smoother or rougher, usually darker, with a clear outline."""
    size = field.shape[0]
    y, x = place(rng, size, 0.2)
    if rng.random() < 0.4:
        y = size * rng.choice([0.0, 1.0])
    radii = (size * rng.uniform(0.1, 0.45), size * rng.uniform(0.07, 0.28))
    cover = blob(
        rng,
        size,
        (y, x),
        radii,
        rough=rng.uniform(0.02, 0.15),
        soft=rng.uniform(0.5, 3),
        angle=rng.normal(0, 0.2),
    )
    if rng.random() < 0.3:  # a neck on the body
        offset = radii[0] * rng.uniform(0.6, 1.2) * rng.choice([-1, 1])
        neck = blob(rng, size, (y + offset, x), (radii[0] * 0.6, radii[1] * 0.5), rough=0.05, soft=1, angle=0)
        cover = np.maximum(cover, neck)
    if rng.random() < 0.6:
        skin = cv2.GaussianBlur(field, (0, 0), size * rng.uniform(0.02, 0.1))
        skin = skin + rng.uniform(0.003, 0.02) * noise(rng, size, size, size)
    else:
        skin = field + rng.uniform(0.02, 0.08) * noise(rng, size, size * 0.4, size * 0.4)
    skin = skin * (rng.uniform(0.35, 0.9) if rng.random() < 0.8 else rng.uniform(1.1, 1.6))
    changed = field * (1 - cover) + skin.astype(np.float32) * cover
    if rng.random() < 0.3:
        changed = changed - rng.uniform(0.03, 0.2) * 4 * cover * (1 - cover)
    return Change(changed, cover)


def uneven(rng: np.random.Generator, field: Field) -> Change:
    """A broad region, cut by straight or bent limits, that is lighter, darker or brushed differently."""
    size = field.shape[0]
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    y, x = axis[:, None], axis[None]
    soft = rng.uniform(0.01, 0.06)
    theta = float(rng.choice([0, np.pi / 2, np.pi, -np.pi / 2])) + rng.normal(0, 0.25)
    along = np.cos(theta) * y + np.sin(theta) * x
    across = np.cos(theta) * x - np.sin(theta) * y
    bend = rng.normal(0, 0.15) * across**2 + 0.03 * noise(rng, size, 5, 5)
    cover = np.clip(0.5 + (along - rng.uniform(-0.2, 0.92) + bend) / (2 * soft), 0, 1)
    if rng.random() < 0.4:  # limited at its sides too
        left, right = sorted(rng.uniform(-1, 1, 2))
        if right - left > 0.25:
            cover = cover * np.clip(0.5 + (across - left) / (2 * soft), 0, 1)
            cover = cover * np.clip(0.5 + (right - across) / (2 * soft), 0, 1)
    if rng.random() < 0.25:
        cover = cover * np.clip(0.5 + (rng.uniform(0.3, 1.5) - along) / (2 * soft), 0, 1)
    skin = field * (rng.uniform(0.55, 0.88) if rng.random() < 0.4 else rng.uniform(1.12, 1.8))
    kind = rng.random()
    if kind < 0.35:  # deeper brushing, same place
        skin = skin + rng.uniform(0.5, 2) * (field - cv2.GaussianBlur(field, (0, 0), size * 0.03))
    elif kind < 0.65:  # other brushing
        stripes = noise(rng, size, rng.uniform(1, 6), size * rng.uniform(0.2, 0.8))
        if rng.random() < 0.2:
            stripes = stripes.T
        skin = skin + rng.uniform(0.03, 0.15) * stripes
    elif kind < 0.75:  # polished flat
        skin = cv2.GaussianBlur(skin, (0, 0), size * 0.03)
    changed = field * (1 - cover) + skin * cover
    return Change(changed.astype(np.float32), cover.astype(np.float32))


def crazing(rng: np.random.Generator, field: Field) -> Change:
    """A net of fine dark cracks over an area; the netted area counts as defective."""
    size = field.shape[0]
    cells = rng.uniform(8, 22)
    ridge = np.abs(noise(rng, size, cells, cells * rng.uniform(0.6, 1.6)))
    ridge = np.minimum(ridge, np.abs(noise(rng, size, cells, cells)) * 1.2)
    net = np.clip(1 - ridge / rng.uniform(0.1, 0.22), 0, 1)
    net = net * (noise(rng, size, cells, cells) > -0.3)
    if rng.random() < 0.7:
        radii = (size * rng.uniform(0.2, 0.5), size * rng.uniform(0.2, 0.5))
        net = net * blob(rng, size, place(rng, size), radii, rough=0.2, soft=size * 0.05)
    cover = np.clip(cv2.GaussianBlur(net, (0, 0), size / 128 * 2) * 3, 0, 1)
    return Change(field * (1 - rng.uniform(0.25, 0.8) * net).astype(np.float32), cover.astype(np.float32))
