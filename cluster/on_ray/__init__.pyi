from .attempt import Attempt, alive_nodes
from .metrics import record, record_standing
from .row_counter import RowCounter, Sender
from .section import RaySection
from .session import machine_cpus, ray_session, stall_seconds, start_ray
from .trainer import Trainer

__all__ = [
    "Attempt",
    "RaySection",
    "RowCounter",
    "Sender",
    "Trainer",
    "alive_nodes",
    "machine_cpus",
    "ray_session",
    "record",
    "record_standing",
    "stall_seconds",
    "start_ray",
]
