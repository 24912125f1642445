"""No dependency phones home: telemetry, update checks, font and asset downloads are off."""

import os
import sys
import tempfile
from pathlib import Path

# Read by each library at import, so they are set before any of them is imported.
TELEMETRY_OFF: dict[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}
# No network either, but lines on stderr whenever PyTorch's profiler starts.
QUIET_PROFILER = {"KINETO_LOG_LEVEL": "99"}
QUIET_ENVIRONMENT = TELEMETRY_OFF | QUIET_PROFILER


def silence_telemetry() -> None:
    """Set the environment that keeps dependencies quiet; a value the user set stays."""
    for key, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    # OpenVINO sends usage figures when it is imported, asks no variable, and sends none without this package.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    # ultralytics writes its settings (sync, hub, MLflow callback) here; ours, not the user's own.
    if "YOLO_CONFIG_DIR" not in os.environ:
        folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "agssp" / "ultralytics"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:  # a read-only home is normal in containers
            folder = Path(tempfile.gettempdir()) / f"agssp-ultralytics-{os.getuid()}"
            folder.mkdir(parents=True, exist_ok=True)
        os.environ["YOLO_CONFIG_DIR"] = str(folder)
