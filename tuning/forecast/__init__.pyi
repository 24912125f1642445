from .curve import Curves, DrawnCurve, Forecast, drawn_curve
from .plan import forecast_plan
from .projects import ForecastSet, forecast_set
from .section import ForecastSection, forecast_preset, forecast_section
from .study import run_forecast

__all__ = [
    "Curves",
    "DrawnCurve",
    "Forecast",
    "ForecastSection",
    "ForecastSet",
    "drawn_curve",
    "forecast_plan",
    "forecast_preset",
    "forecast_section",
    "forecast_set",
    "run_forecast",
]
