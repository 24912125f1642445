"""Mutual scoring's sample of tiled images: of each judging image a coreset of all its tiles' patches."""

from collections.abc import Sequence

import pyarrow as pa
import torch
from torch import Tensor

from pipelines.banks import thinned
from pipelines.maps.bank_method import BankMethod
from pipelines.maps.mutual_sample import feature_table
from pipelines.maps.section import MapsSection
from pipelines.maps.tiled_rows import cut_rows
from pipelines.maps.tiling import CANDIDATES, rows_of_a_tile, tile_memory


def tiled_feature_rows(
    method: BankMethod, rows: pa.Table, section: MapsSection, tiles: Sequence[int], at_once: int
) -> pa.Table:
    """As `feature_rows`, of readable rows of `decode_tiled_rows`; N is the same of all images.

    An image with fewer than N patches of a level has some of them twice, which changes no nearest distance.

    Args:
        method: the method, whose `features` are kept.
        rows: rows with their pixels.
        section: the stage's config.
        tiles: numbers of tiles of the sample's images.
        at_once: tiles in a forward pass.
    """

    def remembered(images: Tensor) -> list[Tensor]:
        return [level.flatten(1, 2) for level in method.features(images)]

    shapes = [level.shape[1:] for level in remembered(torch.zeros(1, 3, method.side, method.side))]
    least, bank = method.least_remembered, section.bank
    counts = {min(count, max(1, CANDIDATES // least)) for count in tiles}
    levels = []
    for rows_of_level, width in shapes:
        most = max(count * min(rows_of_level, rows_of_a_tile(count, CANDIDATES, least)) for count in counts)
        levels.append(torch.zeros(max(1, rows.num_rows), min(section.bank_limit, most), width))
    for place, (pixels, plan) in enumerate(cut_rows(method, rows, section)):
        memory = tile_memory(pixels, plan, remembered, at_once, CANDIDATES, least)
        for level, patches in zip(levels, memory, strict=True):
            kept = thinned(patches, level.shape[1], bank.coreset, bank.seed)
            level[place] = kept[torch.arange(level.shape[1]) % len(kept)]
    return feature_table(rows, levels)
