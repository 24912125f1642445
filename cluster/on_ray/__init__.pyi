from .attempt import Attempt, alive_nodes, given_up
from .metrics import record, record_standing
from .row_counter import RowCounter
from .section import RaySection
from .sender import Sender
from .session import (
    local_session,
    machine_cpus,
    own_machine,
    ray_session,
    small_here,
    stall_seconds,
    start_ray,
)
from .trainer import Trainer

__all__ = [
    "Attempt",
    "RaySection",
    "RowCounter",
    "Sender",
    "Trainer",
    "alive_nodes",
    "given_up",
    "local_session",
    "machine_cpus",
    "own_machine",
    "ray_session",
    "record",
    "record_standing",
    "small_here",
    "stall_seconds",
    "start_ray",
]
