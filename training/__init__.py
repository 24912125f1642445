"""Ray Train: backbones, pretext tasks, distillation, detectors, finetuning, evaluation, report."""

import cluster as cluster  # telemetry off before ultralytics or MLflow is imported
