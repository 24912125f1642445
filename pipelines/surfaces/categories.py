"""The kinds of object that are generated: the range of each one's look, and the defects it may have."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Recipe:
    """Ranges that a production line's `Style` is drawn from, uniformly; see `Style` for the meaning."""

    defects: tuple[str, ...]
    base: Range = (0.25, 0.65)
    grain: Range = (0.01, 0.05)
    grain_size: Range = (0.008, 0.02)
    mottle: Range = (0.0, 0.03)
    mottle_size: Range = (0.03, 0.12)
    cloud: Range = (0.0, 0.03)
    streak: Range = (0.0, 0.05)
    streak_width: Range = (0.008, 0.04)
    streak_length: Range = (0.1, 1.0)
    angles: tuple[float, ...] = (0.0, 90.0)
    lines: Range = (0.0, 0.04)
    speckle: Range = (0.0, 0.0)
    periodic: Range = (0.0, 0.0)
    period: Range = (0.03, 0.2)
    light: Range = (0.02, 0.25)
    vignette: Range = (0.0, 0.2)
    border: Range = (0.0, 0.05)
    marks: Range = (0.0, 0.02)
    noise: Range = (0.004, 0.025)
    blur: Range = (0.3, 0.9)
    tint: tuple[Range, Range, Range] = ((1.0, 1.0), (1.0, 1.0), (1.0, 1.0))
    contrast: Range = (0.8, 1.3)


COOL = ((0.9, 1.0), (0.95, 1.02), (1.0, 1.08))

CATEGORIES: dict[str, Recipe] = {
    "steel_sheet": Recipe(
        defects=("scratches", "stain", "dent", "pit", "uneven"),
        mottle=(0.0, 0.05),
        border=(0.0, 0.15),
        tint=COOL,
    ),
    "steel_strip": Recipe(
        defects=("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"),
        base=(0.25, 0.75),
        grain=(0.01, 0.14),
        mottle=(0.0, 0.07),
        cloud=(0.0, 0.06),
        streak=(0.0, 0.06),
        light=(0.05, 0.4),
    ),
    "aluminium_plate": Recipe(
        defects=("scratches", "dent", "pit", "stain", "crack"),
        base=(0.5, 0.85),
        streak=(0.01, 0.05),
        angles=(0.0, 90.0, 20.0, 70.0),
        marks=(0.0, 0.03),
        tint=COOL,
    ),
    "steel_pipe": Recipe(
        defects=("crack", "pit", "dent", "scratches", "rolled-in_scale"),
        base=(0.2, 0.6),
        vignette=(0.2, 0.8),
        light=(0.15, 0.5),
        periodic=(0.0, 0.04),
        mottle=(0.0, 0.05),
        tint=((0.97, 1.06), (0.98, 1.02), (0.92, 1.02)),
    ),
    "rail": Recipe(
        defects=("crack", "pit", "stain", "break"),
        base=(0.3, 0.7),
        streak=(0.03, 0.12),
        streak_length=(0.4, 1.5),
        lines=(0.02, 0.12),
        border=(0.1, 0.5),
        light=(0.1, 0.4),
        tint=((1.0, 1.1), (0.95, 1.0), (0.85, 0.98)),
    ),
    "billet": Recipe(
        defects=("crack", "inclusion", "rolled-in_scale", "blowhole"),
        base=(0.15, 0.45),
        grain=(0.03, 0.1),
        mottle=(0.03, 0.1),
        cloud=(0.02, 0.08),
        streak=(0.0, 0.04),
        speckle=(0.0, 0.004),
        marks=(0.0, 0.03),
        tint=((1.0, 1.12), (0.95, 1.0), (0.88, 1.0)),
    ),
    "magnetic_tile": Recipe(
        defects=("blowhole", "break", "crack", "fray", "uneven"),
        base=(0.18, 0.55),
        grain=(0.005, 0.035),
        mottle=(0.0, 0.03),
        cloud=(0.0, 0.05),
        streak=(0.01, 0.09),
        streak_width=(0.006, 0.03),
        streak_length=(0.15, 1.5),
        angles=(0.0,),
        lines=(0.01, 0.12),
        light=(0.1, 0.55),
        vignette=(0.0, 0.35),
        border=(0.15, 0.75),
        marks=(0.0, 0.045),
        noise=(0.003, 0.02),
    ),
    "casting": Recipe(
        defects=("blowhole", "crack", "inclusion", "break"),
        base=(0.3, 0.65),
        grain=(0.03, 0.12),
        grain_size=(0.008, 0.03),
        mottle=(0.02, 0.08),
        streak=(0.0, 0.01),
        speckle=(0.0, 0.01),
        border=(0.0, 0.3),
    ),
    "copper_foil": Recipe(
        defects=("scratches", "stain", "patches", "pit", "dent"),
        base=(0.45, 0.75),
        streak=(0.01, 0.06),
        lines=(0.0, 0.06),
        tint=((1.15, 1.35), (0.8, 0.95), (0.55, 0.75)),
    ),
    "brushed_panel": Recipe(
        defects=("scratches", "stain", "uneven", "dent", "fray"),
        base=(0.35, 0.8),
        streak=(0.05, 0.16),
        streak_width=(0.006, 0.02),
        streak_length=(0.2, 1.5),
        angles=(0.0, 90.0, 45.0, 30.0, 110.0),
        lines=(0.0, 0.08),
        periodic=(0.0, 0.05),
        tint=COOL,
    ),
}

# Every kind that some category may have.
KINDS = tuple(sorted({kind for recipe in CATEGORIES.values() for kind in recipe.defects}))
