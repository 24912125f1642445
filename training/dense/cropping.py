"""Defect-aware cropping: windows that hold defect pixels with a set probability, and what moves along.

The second paper (arXiv 2605.23472) biases training crops toward defects; its text does not say how. Here a
crop of an image with defects holds at least one defect pixel with exactly the given probability, unless every
window of the image holds one. A window with a defect is drawn in three uniform draws: an object, one of its
pixels, a window over that pixel; so small objects are seen as often as large ones.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pipelines.images import tile_corners
from training.models import FILL, Area, Image

IGNORED = 255  # in a semantic map: pixels outside of the image, which nobody judges
TRIES = 32  # random windows before all of them are searched
MIN_VISIBLE = 0.1  # share of a box, or of an object's pixels, that a crop must keep for it to be an object
MIN_SIDE = 2.0  # pixels of a box

Mask = npt.NDArray[np.bool_]
Semantic = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Patch:
    """One object: its pixels, cut to a rectangle, or its box alone.

    Attributes:
        label: class, from 0.
        box: (4,) x0 y0 x1 y1 pixels, x1 and y1 exclusive.
        left, top: the mask's corner in the image.
        mask: (h, w); None where only the box is known.
        stray: whether its pixels are defective but no object.
        ignored: whether it is a stray region where detections are neither right nor wrong.
    """

    label: int
    box: tuple[float, float, float, float]
    left: int = 0
    top: int = 0
    mask: Mask | None = None
    stray: bool = False
    ignored: bool = False

    def pixels(self, width: int, height: int) -> tuple[int, int, Mask]:
        """Left, top and mask of the defective pixels, at least one; without a mask those of the box."""
        if self.mask is not None:
            return self.left, self.top, self.mask
        x0, y0 = min(max(int(self.box[0]), 0), width - 1), min(max(int(self.box[1]), 0), height - 1)
        x1 = min(max(int(np.ceil(self.box[2])), x0 + 1), width)
        y1 = min(max(int(np.ceil(self.box[3])), y0 + 1), height)
        return x0, y0, np.ones((y1 - y0, x1 - x0), np.bool_)


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels; it may stick out of the image to the right and below."""

    left: int
    top: int
    width: int
    height: int

    def shown(self, width: int, height: int) -> Area:
        """The part of the window that shows an image of these pixels, counted from the window's corner."""
        return 0, 0, min(self.width, width - self.left), min(self.height, height - self.top)

    def image(self, pixels: Image) -> Image:
        """(height, width, 3); grey where the image ends."""
        return self._cut(pixels, FILL)

    def semantic(self, labels: Semantic) -> Semantic:
        """(height, width); `IGNORED` where the image ends."""
        return self._cut(labels, IGNORED)

    def _cut(self, array: npt.NDArray[np.uint8], fill: int) -> npt.NDArray[np.uint8]:
        part = array[self.top : self.top + self.height, self.left : self.left + self.width]
        if part.shape[:2] == (self.height, self.width):
            return part
        whole = np.full((self.height, self.width, *array.shape[2:]), fill, np.uint8)
        whole[: part.shape[0], : part.shape[1]] = part
        return whole

    def patch(self, patch: Patch) -> Patch | None:
        """The object as the window shows it; None where nothing, or too little, of it is left.

        The box of an object with a mask becomes the smallest around its visible pixels.
        """
        if patch.mask is None:
            return self._boxed(patch)
        height, width = patch.mask.shape
        x0, y0 = max(self.left, patch.left), max(self.top, patch.top)
        x1 = min(self.left + self.width, patch.left + width)
        y1 = min(self.top + self.height, patch.top + height)
        if x1 <= x0 or y1 <= y0:
            return None
        seen = patch.mask[y0 - patch.top : y1 - patch.top, x0 - patch.left : x1 - patch.left]
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        if not len(rows):
            return None
        tight = seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        left, top = x0 - self.left + int(columns[0]), y0 - self.top + int(rows[0])
        little = bool(np.count_nonzero(tight) < MIN_VISIBLE * np.count_nonzero(patch.mask))
        box = float(left), float(top), float(left + tight.shape[1]), float(top + tight.shape[0])
        return Patch(patch.label, box, left, top, tight, patch.stray or little, patch.ignored)

    def _boxed(self, patch: Patch) -> Patch | None:
        x0, y0, x1, y1 = patch.box
        inside = (
            min(max(x0 - self.left, 0.0), float(self.width)),
            min(max(y0 - self.top, 0.0), float(self.height)),
            min(max(x1 - self.left, 0.0), float(self.width)),
            min(max(y1 - self.top, 0.0), float(self.height)),
        )
        sides = inside[2] - inside[0], inside[3] - inside[1]
        if min(sides) < MIN_SIDE or sides[0] * sides[1] < MIN_VISIBLE * (x1 - x0) * (y1 - y0):
            return None
        return Patch(patch.label, inside, stray=patch.stray, ignored=patch.ignored)

    @classmethod
    def anywhere(cls, size: tuple[int, int], side: int, rng: np.random.Generator) -> Self:
        """Any square window of an image of this width and height, all equally probable."""
        left, top = (int(rng.integers(max(0, length - side) + 1)) for length in size)
        return cls(left, top, side, side)


def choose_window(
    size: tuple[int, int],
    patches: list[Patch],
    side: int,
    probability: float,
    rng: np.random.Generator,
) -> Window:
    """A square window that holds a defect pixel with this probability.

    Args:
        size: width and height of the image, pixels; a side shorter than `side` is filled up.
        patches: its objects, strays too; none makes every window free of defects.
        side: the window's side, pixels.
        probability: the chance of a defect pixel, in [0, 1].
        rng: source of the random draws.

    Returns:
        Free windows are drawn uniformly from those that hold no defect pixel; where there is none, the window
        holds a defect after all.
    """
    if not patches:
        return Window.anywhere(size, side, rng)
    wanted = rng.random() < probability
    free = None if wanted else free_window(size, patches, side, rng)
    return free or window_of_defect(size, patches, side, rng)


def window_of_defect(
    size: tuple[int, int], patches: list[Patch], side: int, rng: np.random.Generator
) -> Window:
    """A window over a pixel of an object: object, pixel and window drawn uniformly, one after another."""
    left, top, mask = patches[int(rng.integers(len(patches)))].pixels(*size)
    rows, columns = np.nonzero(mask)
    place = int(rng.integers(len(rows)))
    corner = []
    for pixel, length in ((left + int(columns[place]), size[0]), (top + int(rows[place]), size[1])):
        lowest, highest = max(0, pixel - side + 1), min(pixel, max(0, length - side))
        corner.append(int(rng.integers(lowest, highest + 1)))
    return Window(corner[0], corner[1], side, side)


def free_window(
    size: tuple[int, int], patches: list[Patch], side: int, rng: np.random.Generator
) -> Window | None:
    """A window without any defect pixel, drawn uniformly from all of them; None where there is none."""
    for _ in range(TRIES):  # a few looks suffice on most images, and a 4k image has 16 million windows
        window = Window.anywhere(size, side, rng)
        if not any(holds(window, patch, size) for patch in patches):
            return window
    width, height = size
    defective = np.zeros((height + 1, width + 1), np.int32)
    for patch in patches:
        left, top, mask = patch.pixels(width, height)
        defective[top + 1 : top + 1 + mask.shape[0], left + 1 : left + 1 + mask.shape[1]] |= mask
    sums = defective.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    across, down = min(side, width), min(side, height)
    inside = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across] + sums[:-down, :-across]
    free = np.flatnonzero(inside == 0)
    if not len(free):
        return None
    top, left = divmod(int(free[int(rng.integers(len(free)))]), inside.shape[1])
    return Window(left, top, side, side)


def holds(window: Window, patch: Patch, size: tuple[int, int]) -> bool:
    """Whether a defect pixel of the object lies in the window."""
    left, top, mask = patch.pixels(*size)
    x0, y0 = max(0, window.left - left), max(0, window.top - top)
    x1, y1 = window.left + window.width - left, window.top + window.height - top
    return bool(x1 > 0 and y1 > 0 and mask[y0:y1, x0:x1].any())


def flipped(patch: Patch, side: tuple[int, int], *, across: bool, down: bool) -> Patch:
    """The object in the mirrored image of this width and height."""
    x0, y0, x1, y1 = patch.box
    left, top, mask = patch.left, patch.top, patch.mask
    if across:
        x0, x1 = side[0] - x1, side[0] - x0
    if down:
        y0, y1 = side[1] - y1, side[1] - y0
    if mask is not None:
        height, width = mask.shape
        left = side[0] - left - width if across else left
        top = side[1] - top - height if down else top
        mask = mask[:: -1 if down else 1, :: -1 if across else 1]
    return Patch(patch.label, (x0, y0, x1, y1), left, top, mask, patch.stray, patch.ignored)


def without_ignored(pixels: Image, patches: list[Patch]) -> Image:
    """The image with grey where ignored regions are, except in pixels of objects.

    Their defects would be learnt as background by a task that knows objects only.

    Args:
        pixels: (H, W, 3).
        patches: the image's objects and regions.
    """
    height, width = pixels.shape[:2]
    gone = np.zeros((height, width), np.bool_)
    for patch in sorted(patches, key=lambda each: not each.ignored):
        left, top, mask = patch.pixels(width, height)
        gone[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = patch.ignored
    return np.where(gone[..., None], np.uint8(FILL), pixels)


def semantic_of(patches: list[Patch], width: int, height: int) -> Semantic:
    """(height, width): 0 the background, else 1 + the label; where two overlap the smaller one shows.

    Raises:
        ValueError: an object without a mask.
    """
    semantic = np.zeros((height, width), np.uint8)
    for patch in sorted(patches, key=lambda each: -_area(each)):
        assert patch.mask is not None
        rows, columns = patch.mask.shape
        part = semantic[patch.top : patch.top + rows, patch.left : patch.left + columns]
        part[patch.mask] = patch.label + 1
    return semantic


def _area(patch: Patch) -> int:
    if patch.mask is None:
        raise ValueError("an object without a mask has no place in a semantic map")
    return int(patch.mask.size)


def tiles(width: int, height: int, side: int, overlap: float) -> list[Window]:
    """Square windows that cover an image, the last of each row and column flush with its border.

    Args:
        width, height: the image's sides, pixels.
        side: a window's side, pixels.
        overlap: least share of a window that it has in common with the next, 0 ≤ overlap < 1.
    """
    return [Window(left, top, side, side) for left, top in tile_corners(width, height, side, overlap)]
