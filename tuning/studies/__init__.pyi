from .fig7_stage import fig7_project, run_fig7
from .plan import plan_cells
from .plan_cost import cost, planned
from .runner import run_study
from .study import load_study, studies

__all__ = ["cost", "fig7_project", "load_study", "plan_cells", "planned", "run_fig7", "run_study", "studies"]
