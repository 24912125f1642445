from .boxes import box_shares
from .plan import gain_plan, quiet_minutes
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
    "quiet_minutes",
    "run_gain",
]
