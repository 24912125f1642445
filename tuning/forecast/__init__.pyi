from .curve import Curves, Forecast, fitted
from .plan import forecast_plan
from .projects import ForecastSet, forecast_set
from .section import ForecastSection, forecast_preset, forecast_section
from .study import run_forecast

__all__ = [
    "Curves",
    "Forecast",
    "ForecastSection",
    "ForecastSet",
    "fitted",
    "forecast_plan",
    "forecast_preset",
    "forecast_section",
    "forecast_set",
    "run_forecast",
]
