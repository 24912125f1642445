"""What the maps stage takes of a machine: devices, actors, threads, images at once."""

from dataclasses import dataclass

import psutil
import torch
from open_clip.transformer import VisionTransformer

from cluster.errors import UserError
from pipelines.maps.method import MapMethod
from pipelines.maps.section import MapsSection

# More images at once than these are no faster, on a GPU of today or on a CPU.
MOST_ON_GPU, MOST_ON_CPU = 256, 32
FREE_SHARE = 0.5  # of the free memory: the estimate knows neither fragments nor the library's workspaces
# Live at once in a block, in widths a token: input, V-V stream, norm, four layers read, the MLP's hidden
# layer before and after its activation, and its result.
WIDTHS_A_TOKEN = 16

# Logical CPUs. Other than an actor's, a decoding task's keeps Ray from running it inside the actor, where
# the encoder would wait for it; and one more CPU is what Ray's writing tasks take.
ACTOR_CPUS, DECODE_CPUS, WRITE_CPUS = 0.5, 1.0, 1.0


@dataclass(frozen=True)
class MapResources:
    """Devices and actors, for the cluster at hand.

    Attributes:
        gpus: each actor holds; 0 on CPUs.
        actors: of the pool, or (least, most).
        note: one line for the user.
    """

    gpus: float
    actors: int | tuple[int, int]
    note: str

    @property
    def most(self) -> int:
        """Actors at the most."""
        return self.actors if isinstance(self.actors, int) else self.actors[1]

    def neighbours(self, nodes: int) -> int:
        """Actors that share one device: a GPU, or a node's CPUs."""
        return max(1, int(1 / self.gpus)) if self.gpus else -(-self.most // nodes)


def map_resources(section: MapsSection, available_gpus: float, available_cpus: float) -> MapResources:
    """What the config leaves open, by what the cluster has.

    Args:
        section: the stage's config.
        available_gpus: of the whole cluster.
        available_cpus: likewise; 0 where nodes are yet to come.

    Raises:
        UserError: the actors leave no CPU for reading and writing, for which Ray would wait for ever.
    """
    gpus = section.gpus_per_actor
    if gpus is None:
        gpus = 1.0 if available_gpus else 0.0
    actors = section.actors or (max(1, int(available_gpus / gpus)) if gpus else 1)
    count = actors if isinstance(actors, int) else actors[1]
    least = actors if isinstance(actors, int) else actors[0]
    needed = least * ACTOR_CPUS + max(DECODE_CPUS, WRITE_CPUS)
    if 0 < available_cpus < needed:
        raise UserError(
            f"maps.actors={least} need {needed:g} CPUs with those for reading and writing, Ray has "
            f"{available_cpus:g}; lower maps.actors, or raise ray.cpus (logical CPUs)."
        )
    pool = f"{actors[0]} to {count}" if isinstance(actors, tuple) else str(count)
    plural = "s" if count > 1 else ""
    if gpus:
        return MapResources(gpus, actors, f"{pool} actor{plural} with {gpus:g} GPU each")
    why = "no GPU in the cluster" if not available_gpus else "maps.gpus_per_actor=0"
    return MapResources(gpus, actors, f"{pool} actor{plural} on the CPU ({why})")


def image_bytes(tower: VisionTransformer, shots: int) -> int:
    """About how much memory one image takes on its way through a ViT tower and KeAD's matching, in float32.

    Args:
        tower: the encoder's image tower.
        shots: references whose patches each patch is compared with.
    """
    tokens = int(tower.grid_size[0]) * int(tower.grid_size[1]) + 1
    width = int(tower.conv1.out_channels)
    return 4 * tokens * (WIDTHS_A_TOKEN * width + shots * tokens)


def images_at_once(section: MapsSection, method: MapMethod, neighbours: int = 1) -> int:
    """`maps.batch_size`, or for `auto` as many images as fit into half of the device's free memory.

    Args:
        section: the stage's config.
        method: loaded, on its device.
        neighbours: methods that share the device.
    """
    if section.batch_size != "auto":
        return section.batch_size
    if method.device.type == "cuda":
        free, most = torch.cuda.mem_get_info(method.device)[0], MOST_ON_GPU
    else:
        free, most = psutil.virtual_memory().available, MOST_ON_CPU
    fitting = int(free * FREE_SHARE / neighbours) // image_bytes(method.encoder.visual, section.shots)
    return max(1, min(most, fitting))
