from .picture import gain_picture
from .plan import gain_plan
from .projects import GainSet, gain_sets
from .results import SetResult
from .section import Arm, GainSection, gain_preset, gain_section
from .statistics import PairedGain, paired_gain
from .study import run_gain
from .text import arm_name, document, gain_cells, markdown

__all__ = [
    "Arm",
    "GainSection",
    "GainSet",
    "PairedGain",
    "SetResult",
    "arm_name",
    "document",
    "gain_cells",
    "gain_picture",
    "gain_plan",
    "gain_preset",
    "gain_section",
    "gain_sets",
    "markdown",
    "paired_gain",
    "run_gain",
]
