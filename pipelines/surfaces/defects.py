"""Every kind of defect by name; each draws itself into a surface's reflectance."""

from collections.abc import Callable

import numpy as np

from pipelines.surfaces import area_defects, local_defects
from pipelines.surfaces.defect_shapes import Change
from pipelines.surfaces.textures import Field

Defect = Callable[[np.random.Generator, Field], Change]

DEFECTS: dict[str, Defect] = {
    "crack": local_defects.crack,
    "scratches": local_defects.scratches,
    "pit": local_defects.pit,
    "blowhole": local_defects.blowhole,
    "inclusion": local_defects.inclusion,
    "stain": area_defects.stain,
    "patches": area_defects.patches,
    "pitted_surface": area_defects.pitted_surface,
    "rolled-in_scale": area_defects.rolled_in_scale,
    "break": local_defects.chip,
    "fray": area_defects.fray,
    "uneven": area_defects.uneven,
    "crazing": area_defects.crazing,
    "dent": local_defects.dent,
}
