"""The first pass of mutual scoring: the sample's features, by the same kind of job as the maps."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import torch

from cluster.on_ray import Sender, machine_cpus
from cluster.storage import Storage
from pipelines.maps.bank_method import BankMethod
from pipelines.maps.build import build_method
from pipelines.maps.job_steps import encoding_steps
from pipelines.maps.mutual_sample import FOLDER, chosen, feature_rows, near_pairs
from pipelines.maps.resources import images_at_once
from pipelines.maps.rows import readable_rows
from pipelines.maps.section import MapsSection
from pipelines.maps.tile_plan import EncoderInput, tile_plan
from pipelines.maps.tiled_rows import decoding
from pipelines.maps.tiled_sample import tiled_feature_rows
from pipelines.tables import ActorPool, CorpusTables, Place, run_table_job, write_listing

AT_ONCE = 8  # images in a forward pass; their features are many times a map's size


class FeatureActor:
    """Holds the method; gives the features of decoded batches. Unreadable rows are left out.

    Args:
        section: the stage's config.
        cuda: whether the actor has (a share of) a GPU.
        neighbours: number of actors that share the device.
        tiles: numbers of tiles of the sample's images.
        counter: counter of finished images.
    """

    def __init__(
        self, section: MapsSection, cuda: bool, neighbours: int, tiles: Sequence[int], counter: Sender
    ) -> None:
        torch.set_num_threads(max(1, machine_cpus() // neighbours))
        method = build_method(section, "cuda" if cuda else "cpu")
        assert isinstance(method, BankMethod)
        self.method, self.counter = method, counter
        self.section, self.tiles = section, tiles
        self.at_once = images_at_once(section, method, neighbours)

    def __call__(self, rows: pa.Table) -> pa.Table:
        readable = readable_rows(rows)
        if self.section.tiles == "off":
            done = feature_rows(self.method, readable)
        else:
            done = tiled_feature_rows(self.method, readable, self.section, self.tiles, self.at_once)
        self.counter.add(rows.num_rows)
        return done


def write_sample(
    section: MapsSection,
    *,
    corpus: Storage,
    directory: Storage,
    manifest: pa.Table,
    encoder: EncoderInput,
    pool: ActorPool,
    place: Place,
) -> Storage:
    """Write the features of the images that judge into `sample/`, one row an image; a killed job resumes.

    Args:
        section: the stage's config.
        corpus: the corpus artifact's directory.
        directory: the stage's directory.
        manifest: the stage's rows, with `image_id`, `uri`, `width`, `height` and `levels`.
        encoder: result of `input_of`.
        pool: the stage's actors.
        place: where the stage's jobs run.

    Returns:
        The directory of the features.

    Raises:
        UserError: see `chosen`.
    """
    rows = CorpusTables(corpus).manifest(columns=("image_id", "category", "split"))
    judges = chosen(rows, near_pairs(corpus), section.bank)
    wanted = manifest.filter(pc.is_in(manifest.column("image_id"), value_set=pa.array(judges)))
    sizes = list(zip(*(wanted.column(side).to_pylist() for side in ("width", "height")), strict=True))
    tiles = sorted({len(tile_plan(width, height, section, encoder).corners) for width, height in sizes})
    work, target = directory.at("listing", FOLDER), directory.at(FOLDER)
    run_table_job(
        "maps: features of the sample",
        source=write_listing(work, wanted),
        work=work,
        target=target,
        steps=encoding_steps(
            section,
            decoding(section, sizes, AT_ONCE, encoder),
            FeatureActor,
            {"tiles": tiles},
            pool=pool,
            place=place,
        ),
        id_column="image_id",
        total=wanted.num_rows,
        here=place.here,
    )
    return target
