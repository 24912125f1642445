"""Actors and GPUs of a table job on the present cluster; they leave CPUs for what else the job does."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.errors import UserError

# Logical CPUs of an actor, and of a read or a write. Ray's default is a whole one. If an actor takes half a
# CPU of every node, no node has a whole one left and the job would never begin.
ACTOR_CPUS, LISTING_CPUS = 0.5, 0.25
# Of the actor that leaves out finished rows when a job goes on: Ray's default. It holds it as long as the job
# runs: what is left beside it and all others must be enough to read and to write.
FILTER_CPUS = 1.0
FREE_CPUS = FILTER_CPUS + 2 * LISTING_CPUS


class PoolSection(Protocol):
    """The part of a stage's config that concerns its actors."""

    @property
    def actors(self) -> int | tuple[int, int] | None:
        """Actors, or (least, most) of a pool that grows; None takes one, or one per GPU."""

    @property
    def gpus_per_actor(self) -> float | None:
        """GPUs of each actor; None takes one where the cluster has GPUs."""


@dataclass(frozen=True)
class ActorPool:
    """Devices and actors on the present cluster.

    Attributes:
        gpus: GPUs of each actor; 0 on CPUs.
        actors: actors of the pool, or (least, most).
        note: one line for the user.
    """

    gpus: float
    actors: int | tuple[int, int]
    note: str

    @property
    def most(self) -> int:
        """Largest number of actors."""
        return self.actors if isinstance(self.actors, int) else self.actors[1]

    def neighbours(self, nodes: int) -> int:
        """Actors that share one device: a GPU, or a node's CPUs."""
        return max(1, int(1 / self.gpus)) if self.gpus else -(-self.most // nodes)


def room(cpus: float, nodes: Sequence[Mapping[str, float]]) -> int:
    """Actors that fit on the nodes beside all else of a job that goes on; below 1 where none do.

    Args:
        cpus: logical CPUs of each actor.
        nodes: resources of each node; an actor is on one.
    """
    places = sum(int(node.get("CPU", 0.0) / cpus + 1e-6) for node in nodes)
    return places - math.ceil(FILTER_CPUS / cpus) - math.ceil(2 * LISTING_CPUS / cpus)


def actor_pool(stage: str, section: PoolSection, available: Mapping[str, float]) -> ActorPool:
    """Fill in what the config leaves open, from the cluster's resources.

    Args:
        stage: the section's name in a project, for the user.
        section: the stage's config.
        available: the whole cluster's resources; without "CPU" before nodes have joined.

    Raises:
        UserError: the actors leave too few CPUs for all else; Ray would wait for ever.
    """
    available_gpus, joined = available.get("GPU", 0.0), available.get("CPU", 0.0) > 0
    gpus = section.gpus_per_actor
    if gpus is None:
        gpus = 1.0 if available_gpus else 0.0
    actors = section.actors or (max(1, int(available_gpus / gpus)) if gpus else 1)
    least, most = (actors, actors) if isinstance(actors, int) else actors
    if joined and least > room(ACTOR_CPUS, [available]):
        raise UserError(
            f"{stage}.actors={least} need {least * ACTOR_CPUS + FREE_CPUS:g} CPUs with those for reading and "
            f"writing, Ray has {available['CPU']:g}; lower {stage}.actors, or raise ray.cpus (logical CPUs)."
        )
    pool = f"{least} to {most}" if isinstance(actors, tuple) else str(most)
    plural = "s" if most > 1 else ""
    if gpus:
        return ActorPool(gpus, actors, f"{pool} actor{plural} with {gpus:g} GPU each")
    why = "no GPU in the cluster" if not available_gpus else f"{stage}.gpus_per_actor=0"
    return ActorPool(gpus, actors, f"{pool} actor{plural} on the CPU ({why})")
