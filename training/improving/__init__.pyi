from .despite import DESPITE
from .step import refuse_unready, standing, take_step

__all__ = ["DESPITE", "refuse_unready", "standing", "take_step"]
