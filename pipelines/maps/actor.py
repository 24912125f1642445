"""What maps decoded batches: the method with its encoder, and every category's state, made once for all."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import torch

from cluster.on_ray import Sender, machine_cpus
from cluster.storage import Storage
from pipelines.images import Levels
from pipelines.maps.build import build_method
from pipelines.maps.method import MapMethod
from pipelines.maps.mutual_sample import Pairs, judged_states
from pipelines.maps.resources import images_at_once
from pipelines.maps.rows import category_states, readable_rows
from pipelines.maps.runtime import say_precision
from pipelines.maps.section import MapsSection
from pipelines.maps.tiled_rows import map_rows_of
from pipelines.tables import Shared, write_errors


def prepare(
    section: MapsSection,
    references: Mapping[str, list[str]],
    levels: Mapping[str, Levels],
    cuda: bool,
    neighbours: int,
    sample: tuple[Storage, Pairs] | None,
    kept: bool,
) -> tuple[Any, int, MapMethod | None]:
    """Every category's state, the number of images an actor gets at once, and the method if it is `kept`."""
    torch.set_num_threads(machine_cpus())
    method = build_method(section, "cuda" if cuda else "cpu")
    say_precision(method)
    states = category_states(method, section, references, levels)
    if sample is not None:
        states = judged_states(states, *sample)
    return states, images_at_once(section, method, neighbours), method if kept else None


class MapActor:
    """Holds the method with its encoder and every category's embeddings; maps decoded batches.

    Rows whose image can't be read have no map; the reasons are written to `errors`. They are in no
    checkpoint, so a resumed job reads them again.

    Args:
        section: the stage's config.
        states, method: what `prepare` made; without a method the actor builds its own.
        cuda: whether the actor has (a share of) a GPU.
        neighbours: number of actors that share the device.
        errors: directory for `write_errors`.
        counter: counter of finished images.
    """

    def __init__(
        self,
        section: MapsSection,
        states: Shared,
        method: Shared,
        cuda: bool,
        neighbours: int,
        errors: Storage,
        counter: Sender,
    ) -> None:
        torch.set_num_threads(max(1, machine_cpus() // neighbours))
        self.method = method.get() or build_method(section, "cuda" if cuda else "cpu")
        self.counter = counter
        self.section, self.errors = section, errors
        self.tiles_at_once = images_at_once(section, self.method, neighbours)
        self.states = states.get()

    def __call__(self, rows: pa.Table) -> pa.Table:
        write_errors(rows, self.errors)
        done = map_rows_of(self.method, self.states, readable_rows(rows), self.section, self.tiles_at_once)
        self.counter.add(rows.num_rows)
        return done
