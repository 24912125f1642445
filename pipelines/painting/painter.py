"""A painter of defects: the shapes of generated surfaces drawn into a photograph, with their boxes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.images import joined_components
from pipelines.painting.section import PaintSettings
from pipelines.surfaces import DEFECTS

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Boxes = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]

LEAST_SIDE = 32  # pixels; below, the shapes have no room
MOST_SIDE = (
    1024  # pixels of the square that a defect is drawn in: a large photograph has large defects enough
)
JOINED_BELOW = 9  # pixels between two parts of one box
LEAST_PIXELS = 9  # of a box; fewer changed pixels are put back
ATTEMPTS = 20  # to place one defect
LEAST_CONTRAST = 0.1  # share of full scale: a change that an inspector would mark at a glance
MOST_CONTRAST = 0.8
FAINT = 0.2  # share of the contrast below which a change is left out, so that boxes end where the eye does


@dataclass(frozen=True)
class Painted:
    """An image with painted defects.

    Attributes:
        image: as given, uint8, with the defects.
        mask: (H, W) bool, exactly the pixels that differ from the image given.
        boxes: (N, 4) float64 x0 y0 x1 y1, x1 and y1 exclusive, pixels; parts less than 9 pixels apart share
            one. N = 0 where the image was not to be painted, is too small (a side below 32 pixels), or has
            no room.
    """

    image: Pixels
    mask: Mask
    boxes: Boxes


def paint(
    image: Pixels, *, seed: int, image_id: str, settings: PaintSettings, avoid: Boxes | None = None
) -> Painted:
    """Paint defects; the same arguments give the same pixels.

    A defect is a change of grey, the same in every channel.

    Args:
        image: (H, W) or (H, W, 3) uint8; it is not changed.
        seed: ≥ 0.
        image_id: with the seed the source of all chance.
        settings: kinds, strength, number and share.
        avoid: (N, 4) boxes that no painted box overlaps.

    Raises:
        ValueError: pixels of another shape or type.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"pixels must be (H, W) or (H, W, 3) uint8, not {image.shape} {image.dtype}")
    mask = np.zeros(image.shape[:2], np.bool_)
    unchanged = Painted(image, mask, np.zeros((0, 4)))
    words = np.frombuffer(hashlib.sha256(image_id.encode()).digest(), "<u4").tolist()
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))
    if rng.random() >= settings.share or min(mask.shape) < LEAST_SIDE:
        return unchanged
    painted = image.copy()
    least, greatest = settings.defects
    for _ in range(int(rng.integers(least, greatest + 1))):
        for _ in range(ATTEMPTS):
            if _add_defect(rng, image, painted, mask, settings, avoid):
                break
    for rows, columns, part in list(_parts(mask)):  # another defect may have undone most of a first one
        if np.count_nonzero(part) < LEAST_PIXELS:
            painted[rows, columns][part] = image[rows, columns][part]
            mask[rows, columns][part] = False
    return Painted(painted, mask, _boxes(mask))


def _add_defect(
    rng: np.random.Generator,
    image: Pixels,
    painted: Pixels,
    mask: Mask,
    settings: PaintSettings,
    avoid: Boxes | None,
) -> bool:
    """Draw one defect into `painted` and `mask`; whether there was room for it and it can be seen."""
    kind = settings.kinds[int(rng.integers(len(settings.kinds)))]
    strength = float(rng.uniform(*settings.strength))
    side = min(*mask.shape, MOST_SIDE)
    y, x = (int(rng.integers(whole - side + 1)) for whole in mask.shape)
    window = slice(y, y + side), slice(x, x + side)
    before, mask_before = painted[window].copy(), mask[window].copy()
    grey = cv2.cvtColor(before, cv2.COLOR_RGB2GRAY) if before.ndim == 3 else before
    step = _step(rng, kind, grey.astype(np.float32) / np.float32(255), strength)
    if step is None:
        return False
    levels = np.rint(step * 255).astype(np.int16)
    after = np.clip(before + (levels[..., None] if before.ndim == 3 else levels), 0, 255).astype(np.uint8)
    for rows, columns, part in _parts(_different(after, before)):
        if np.count_nonzero(part) < LEAST_PIXELS:
            after[rows, columns][part] = before[rows, columns][part]
    if not np.any(after != before):
        return False
    painted[window] = after
    mask[window] = _different(after, image[window])
    if avoid is not None and _overlap(_boxes(mask), avoid):
        painted[window], mask[window] = before, mask_before
        return False
    return True


def _step(rng: np.random.Generator, kind: str, normal: Field, strength: float) -> Field | None:
    """The change of grey, share of full scale, that shows a defect; None where none can be seen.

    Contrast is raised until it exceeds both a fixed floor and the texture around, as for generated surfaces.

    Args:
        rng: the source of chance.
        kind: key of `DEFECTS`.
        normal: (S, S) grey, 0…1.
        strength: factor on the contrast.
    """
    side = normal.shape[0]
    texture = np.abs(normal - cv2.GaussianBlur(normal, (0, 0), side * 0.03))
    field = 0.1 + 0.8 * normal  # black and white leave a factor nothing to change
    change = DEFECTS[kind](rng, field)
    support = change.cover > 0.3
    count = np.count_nonzero(support)
    if count < LEAST_PIXELS:
        return None
    around = cv2.dilate(support.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(np.bool_)
    # A wide change is seen at a lower contrast than a thin one.
    ratio = float(np.interp(count, [20, side * side * 0.1], [4.0, 2.5]))
    seen = min(max(LEAST_CONTRAST, float(texture[around].mean()) * ratio), 0.4)
    needed = min(strength * seen, MOST_CONTRAST)
    step = np.asarray(change.field - field, np.float32)
    contrast = float(np.quantile(np.abs(step)[support], 0.85))
    if contrast < 0.05 * needed:
        return None
    step *= max(1.0, (1 + 1.25 * FAINT) * needed / contrast)
    step = np.sign(step) * np.maximum(np.abs(step) - FAINT * needed, 0)
    if float(normal[support].mean()) < needed:  # nothing darker is left
        step = np.abs(step)
    elif float(normal[support].mean()) > 1 - needed:
        step = -np.abs(step)
    visible = np.abs(np.clip(normal + step, 0, 1) - normal)[support]
    return step if float(np.quantile(visible, 0.85)) >= 0.75 * needed else None


def _different(after: Pixels, before: Pixels) -> Mask:
    changed: Mask = after != before
    return np.asarray(changed.any(axis=2) if changed.ndim == 3 else changed, np.bool_)


def _parts(mask: Mask) -> Iterator[tuple[slice, slice, Mask]]:
    """Pixels that share a box: rows, columns, and their own mask cut to these."""
    for y, x, part in joined_components(mask, JOINED_BELOW - 1):
        yield slice(y, y + part.shape[0]), slice(x, x + part.shape[1]), part


def _boxes(mask: Mask) -> Boxes:
    """(N, 4) x0 y0 x1 y1 around the parts, by their place."""
    boxes = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns, _ in _parts(mask)]
    return np.array(boxes, np.float64).reshape(-1, 4)


def _overlap(boxes: Boxes, others: Boxes) -> bool:
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return bool((low < high).all(axis=2).any())
