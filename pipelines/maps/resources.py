"""What the maps stage uses of a machine: memory an image, images at once."""

import psutil
import torch
from open_clip.transformer import VisionTransformer

from pipelines.maps.method import MapMethod
from pipelines.maps.section import MapsSection

# More images at once are no faster, on a current GPU or on a CPU.
MOST_ON_GPU, MOST_ON_CPU = 256, 32
FREE_SHARE = 0.5  # share of free memory; the estimate ignores fragments and the library's workspaces
# Live at once in a block, in widths a token: input, V-V stream, norm, four layers read, the MLP's hidden
# layer before and after its activation, and its result.
WIDTHS_A_TOKEN = 16


def image_bytes(tower: VisionTransformer, shots: int) -> int:
    """Approximate memory of one image in a ViT tower and KeAD's matching, in bytes at float32.

    Args:
        tower: the encoder's image tower.
        shots: references whose patches each patch is compared with.
    """
    tokens = int(tower.grid_size[0]) * int(tower.grid_size[1]) + 1
    width = int(tower.conv1.out_channels)
    return 4 * tokens * (WIDTHS_A_TOKEN * width + shots * tokens)


def images_at_once(section: MapsSection, method: MapMethod, neighbours: int = 1) -> int:
    """`maps.batch_size`, or for `auto` as many images or tiles as fit into half of the device's free memory.

    Args:
        section: the stage's config.
        method: the loaded method, on its device.
        neighbours: number of methods that share the device.
    """
    if section.batch_size != "auto":
        return section.batch_size
    if method.device.type == "cuda":
        free, most = torch.cuda.mem_get_info(method.device)[0], MOST_ON_GPU
    else:
        free, most = psutil.virtual_memory().available, MOST_ON_CPU
    shots = section.shots
    if shots and section.tiles != "off":  # every tile is compared with a bank of many tiles
        shots = max(shots, -(-section.bank_limit // method.grid**2))
    needed = image_bytes(method.encoder.visual, shots) + method.more_bytes
    fitting = int(free * FREE_SHARE / neighbours) // needed
    return max(1, min(most, fitting))
