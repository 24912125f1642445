from .despite import DESPITE
from .place import standing
from .ready import refuse_unready
from .step import take_step

__all__ = ["DESPITE", "refuse_unready", "standing", "take_step"]
