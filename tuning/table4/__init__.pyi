from .plan import planned_rows
from .stage import check_device, run_table4
from .text import HEADER, cells

__all__ = ["HEADER", "cells", "check_device", "planned_rows", "run_table4"]
