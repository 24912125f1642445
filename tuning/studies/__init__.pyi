from .fig7_stage import fig7_project, run_fig7
from .plan import plan_cells
from .runner import run_study
from .study import load_study, studies

__all__ = ["fig7_project", "load_study", "plan_cells", "run_fig7", "run_study", "studies"]
