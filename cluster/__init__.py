"""The ground: configuration, storage, stages, Ray sessions, tracking and the model registry.

Importing it switches every dependency's telemetry off, before that dependency can be imported.
"""

from cluster.privacy import silence_telemetry

silence_telemetry()
