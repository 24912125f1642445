from .plan import planned_rows
from .runs import table_runs
from .stage import check_device, run_table4
from .study import run_tables
from .text import HEADER, cells

__all__ = [
    "HEADER",
    "cells",
    "check_device",
    "planned_rows",
    "run_table4",
    "run_tables",
    "table_runs",
]
