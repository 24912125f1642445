"""Ray Data: corpus, KeAD, anomaly maps and pseudo-boxes."""

import cluster as cluster  # telemetry off before open_clip's hub client is imported
