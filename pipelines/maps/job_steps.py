"""The steps of every job over images with the maps' encoder: tasks that decode, then actors that hold it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pipelines.maps.section import MapsSection
from pipelines.tables import ACTOR_CPUS, ActorPool, Place, Step

# Logical CPUs. They differ from an actor's, so that Ray doesn't decode inside the actor, where the encoder
# would wait for it.
DECODE_CPUS = 1.0


class Decoding(NamedTuple):
    """How images become rows that an actor takes.

    Attributes:
        function: the function of a table, see `Step.function`.
        arguments: its keyword arguments.
        rows_a_call: most rows in a call, of the actor too.
    """

    function: Callable[..., Any]
    arguments: dict[str, Any]
    rows_a_call: int


def encoding_steps(
    section: MapsSection,
    decoding: Decoding,
    actor: type,
    arguments: dict[str, Any],
    *,
    pool: ActorPool,
    place: Place,
) -> list[Step]:
    """The two steps.

    Args:
        section: the maps' config.
        decoding: see `Decoding`.
        actor: class of the actors; takes `section`, `cuda`, `neighbours` and `counter` beside `arguments`.
        arguments: keyword arguments of its own.
        pool: the actors.
        place: where the job runs.
    """
    shared = {"section": section, "cuda": pool.gpus > 0, "neighbours": pool.neighbours(place.nodes)}
    return [
        Step(
            decoding.function,
            decoding.arguments,
            cpus=DECODE_CPUS,
            tasks=section.decode_workers,
            batch_size=decoding.rows_a_call,
        ),
        Step(
            actor,
            {**shared, **arguments},
            actors=pool.actors,
            cpus=ACTOR_CPUS,
            gpus=pool.gpus,
            batch_size=decoding.rows_a_call,
            counted=True,
        ),
    ]
