from .boxes import box_shares
from .plan import gain_plan
from .projects import gain_sets
from .section import GainSection, gain_preset, gain_section
from .study import run_gain

__all__ = [
    "GainSection",
    "box_shares",
    "gain_plan",
    "gain_preset",
    "gain_section",
    "gain_sets",
    "run_gain",
]
