from .stage import check_device, run_table4
from .text import HEADER, cells

__all__ = ["HEADER", "cells", "check_device", "run_table4"]
