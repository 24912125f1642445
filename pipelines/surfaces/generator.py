"""Generated surface photographs: one sample per (seed, index), and whole corpora on disk."""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from cluster.errors import UserError, nearest
from pipelines.surfaces.categories import CATEGORIES, Range, Recipe
from pipelines.surfaces.defects import DEFECTS
from pipelines.surfaces.textures import Field, Style, illumination, noise, part_border, reflectance

NORMAL = "normal"
SMALLEST = 32
MIN_CONTRAST = 0.1  # share of full scale: a change that an inspector would mark at a glance
ATTEMPTS = 40
EXPOSURE = (0.06, 0.75)  # limits of the mean level


@dataclass(frozen=True)
class SurfaceSample:
    """One generated photograph.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        mask: (S, S) bool, the pixels that the defect visibly changed; all False when normal.
        category: a key of `CATEGORIES`.
        defect: a key of `DEFECTS`, or None when normal.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    category: str
    defect: str | None


class _Scene(NamedTuple):
    """Everything between the surface and the file, fixed so that both versions differ by the defect only."""

    light: Field
    cover: Field
    level: Field
    noise: Field
    blur: float

    def photograph(self, surface: Field) -> Field:
        picture = np.clip(surface, 0, 1.2) * self.light
        picture = picture * (1 - self.cover) + self.level * self.cover
        picture = cv2.GaussianBlur(picture, (0, 0), self.blur) if self.blur > 0.25 else picture
        levels: Field = np.clip(picture + self.noise, 0, 1)
        return levels


def generate(
    seed: int,
    index: int,
    *,
    size: int,
    category: str | None = None,
    defect: str | None = None,
    defect_share: float = 0.5,
    defects: Collection[str] | None = None,
) -> SurfaceSample:
    """The sample of a (seed, index); the same arguments give the same sample.

    The seed is a production line: it fixes each category's look, which the index then varies a little.

    Args:
        seed, index: ≥ 0.
        size: side in pixels, ≥ 32.
        category: a key of `CATEGORIES`; drawn when left out.
        defect: a key of `DEFECTS`, or `normal` for none; drawn among the category's when left out.
        defect_share: probability of a defect when it is drawn.
        defects: kinds that it is drawn among, as far as the category has them; all when left out.

    Raises:
        UserError: unknown category or defect, size too small, negative seed or index, share outside 0…1, a
            category without any of `defects`.
    """
    _check(seed, index, size, category, defect, defect_share)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index])))
    names = list(CATEGORIES)
    drawn = names[int(rng.integers(len(names)))]
    category = category or drawn
    recipe = CATEGORIES[category]
    line = np.random.SeedSequence([seed, names.index(category), 1 << 20, 1])
    style = _vary(rng, draw_style(np.random.Generator(np.random.Philox(line)), recipe))
    kinds = [kind for kind in recipe.defects if defects is None or kind in defects]
    if not kinds:
        raise UserError(f"Surface category {category} has none of the defects {', '.join(defects or ())}.")
    has_defect, kind = rng.random() < defect_share, str(rng.choice(kinds))
    if defect is None:
        defect = kind if has_defect else NORMAL
    surface = reflectance(rng, size, style)
    scene = _scene(rng, surface, style)
    picture = scene.photograph(surface)
    mask = np.zeros((size, size), np.bool_)
    if defect != NORMAL:
        picture, mask = _with_defect(rng, defect, surface, scene, picture)
    image = np.clip(picture[..., None] * (np.array(style.tint, np.float32) * 255) + 0.5, 0, 255).astype(
        np.uint8
    )
    return SurfaceSample(image, mask, category, None if defect == NORMAL else defect)


def _vary(rng: np.random.Generator, style: Style) -> Style:
    """One part of the line: the same look, each amplitude somewhat weaker or stronger."""
    amplitudes = (
        "grain",
        "mottle",
        "cloud",
        "streak",
        "lines",
        "periodic",
        "light",
        "vignette",
        "marks",
        "noise",
    )
    factors = rng.uniform(0.2, 1.0, len(amplitudes))
    varied = {name: getattr(style, name) * float(f) for name, f in zip(amplitudes, factors, strict=True)}
    return replace(style, **varied, base=style.base * float(rng.uniform(0.7, 1.3)))


def _scene(rng: np.random.Generator, surface: Field, style: Style) -> _Scene:
    size = surface.shape[0]
    cover, border = part_border(rng, size, style.border)
    sensor = style.noise * noise(rng, size, size, size)
    light = illumination(rng, size, style)
    level = float((surface * light).mean())
    light *= np.clip(level, *EXPOSURE) / level  # a camera is not set to an all black or white picture
    return _Scene(light, cover, border, sensor, style.blur * size / 128)


def _with_defect(
    rng: np.random.Generator, kind: str, surface: Field, scene: _Scene, normal: Field
) -> tuple[Field, npt.NDArray[np.bool_]]:
    """Draw until the defect is seen: its contrast must exceed both a fixed floor and the local texture."""
    size = surface.shape[0]
    texture = np.abs(normal - cv2.GaussianBlur(normal, (0, 0), size * 0.03))
    for attempt in range(ATTEMPTS):
        change = DEFECTS[kind](rng, surface)
        support = change.cover > 0.3
        if support.sum() < 3:
            continue
        step = scene.photograph(change.field) - normal
        lenient = attempt >= ATTEMPTS // 2  # a hard case: nearly black, or coarser than any defect
        if lenient:
            step = np.where(normal < 0.5, np.abs(step), -np.abs(step))
        around = cv2.dilate(support.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(np.bool_)
        roughness = float(texture[around].mean())
        # A wide change is seen at a lower contrast than a thin one.
        ratio = float(np.interp(support.sum(), [20, size * size * 0.1], [4.0, 2.5]))
        needed = min(max(MIN_CONTRAST, roughness * ratio), 0.4)
        contrast = float(np.quantile(np.abs(step)[support], 0.85))
        if contrast < (0.005 if lenient else 0.05) * needed:
            continue
        picture = np.clip(normal + step * max(1.0, needed / contrast), 0, 1)
        step = np.abs(picture - normal)
        # Between the lines of a net or the dots of a swarm the defect goes on.
        mask = support & (cv2.dilate(step, np.ones((5, 5), np.uint8)) > 0.2 * needed)
        if mask.sum() >= (3 if lenient else max(3, 0.25 * support.sum())):
            return picture, mask
    raise RuntimeError(f'no visible defect "{kind}" in {ATTEMPTS} attempts')


def write_corpus(
    folder: Path,
    *,
    seed: int,
    images_per_category: int,
    size: int,
    defect_share: float,
    categories: list[str] | None = None,
    defects: Collection[str] | None = None,
    normal_references: int = 4,
    lines: int = 1,
) -> None:
    """Write a corpus as `folder/CATEGORY/{good,DEFECT}/NAME.png`, masks beside as `NAME_mask.png`.

    The same arguments give the same bytes. Masks are 0 or 255; good images have none.

    Args:
        folder: target folder, made when absent; files of the same names are overwritten.
        seed, size, defect_share, defects: see `generate`.
        images_per_category: number of images of each category.
        categories: keys of `CATEGORIES`; all when left out.
        normal_references: number of images of each category that are good whatever the share.
        lines: number of production lines; the first images of each category are of the line `seed`, the last
            of `seed + lines - 1`.

    Raises:
        UserError: as `generate`; fewer images than references; a folder that can't be written.
    """
    if images_per_category < normal_references:
        raise UserError(
            f"{images_per_category} images per category are fewer than the {normal_references} normal"
            " references; ask for more images."
        )
    for category in categories if categories is not None else list(CATEGORIES):
        for index in range(images_per_category):
            forced = NORMAL if index < normal_references else None
            line = seed + index * lines // images_per_category
            sample = generate(
                line,
                index,
                size=size,
                category=category,
                defect=forced,
                defect_share=defect_share,
                defects=defects,
            )
            place = folder / category / (sample.defect or "good")
            try:
                place.mkdir(parents=True, exist_ok=True)
                _write_png(place / f"{index:05d}.png", sample.image[..., ::-1])
                if sample.defect is not None:
                    _write_png(place / f"{index:05d}_mask.png", sample.mask.astype(np.uint8) * 255)
            except OSError as error:
                raise UserError(f"Corpus folder {place} can't be written: {error.strerror}.") from None


def _write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    encoded, data = cv2.imencode(".png", pixels)
    assert encoded
    path.write_bytes(data.tobytes())


def _check(
    seed: int, index: int, size: int, category: str | None, defect: str | None, defect_share: float
) -> None:
    if seed < 0 or index < 0:
        raise UserError(f"Surface seed {seed} and index {index} must not be negative.")
    if size < SMALLEST:
        raise UserError(f"Surface size {size} is too small; give at least {SMALLEST} pixels.")
    if category is not None and category not in CATEGORIES:
        raise UserError(f'There is no surface category "{category}"; {nearest(category, CATEGORIES)}')
    if defect is not None and defect != NORMAL and defect not in DEFECTS:
        raise UserError(f'There is no surface defect "{defect}"; {nearest(defect, [NORMAL, *DEFECTS])}')
    if not 0 <= defect_share <= 1:
        raise UserError(f"Surface defect share {defect_share} must lie between 0 and 1.")


def draw_style(rng: np.random.Generator, recipe: Recipe) -> Style:
    """One production line of a category."""

    def between(limits: Range) -> float:
        return float(rng.uniform(*limits))

    drawn = {
        field.name: between(getattr(recipe, field.name))
        for field in fields(Style)
        if field.name not in ("tint", "angle")
    }
    red, green, blue = (between(limits) for limits in recipe.tint)
    return Style(**drawn, angle=float(rng.choice(recipe.angles)), tint=(red, green, blue))
