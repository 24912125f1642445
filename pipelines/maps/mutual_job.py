"""The first pass of mutual scoring: the sample's features, by the same kind of job as the maps."""

import pyarrow as pa
import pyarrow.compute as pc
import torch

from cluster.on_ray import Sender, machine_cpus
from cluster.storage import Storage
from pipelines.maps.bank_method import BankMethod
from pipelines.maps.build import build_method, side_of
from pipelines.maps.mutual_sample import FOLDER, chosen, feature_rows, near_pairs
from pipelines.maps.resources import DECODE_CPUS
from pipelines.maps.rows import decode_rows, readable_rows
from pipelines.maps.section import MapsSection
from pipelines.tables import ACTOR_CPUS, ActorPool, CorpusTables, Place, Step, run_table_job, write_listing

AT_ONCE = 8  # images in a forward pass; their features are many times a map's size


class FeatureActor:
    """Holds the method; gives the features of decoded batches. Unreadable rows are left out.

    Args:
        section: the stage's config.
        cuda: whether the actor has (a share of) a GPU.
        neighbours: number of actors that share the device.
        counter: counter of finished images.
    """

    def __init__(self, section: MapsSection, cuda: bool, neighbours: int, counter: Sender) -> None:
        torch.set_num_threads(max(1, machine_cpus() // neighbours))
        method = build_method(section, "cuda" if cuda else "cpu")
        assert isinstance(method, BankMethod)
        self.method, self.counter = method, counter

    def __call__(self, rows: pa.Table) -> pa.Table:
        done = feature_rows(self.method, readable_rows(rows))
        self.counter.add(rows.num_rows)
        return done


def write_sample(
    section: MapsSection,
    *,
    corpus: Storage,
    directory: Storage,
    manifest: pa.Table,
    pool: ActorPool,
    place: Place,
) -> Storage:
    """Write the features of the images that judge into `sample/`, one row an image; a killed job resumes.

    Args:
        section: the stage's config.
        corpus: the corpus artifact's directory.
        directory: the stage's directory.
        manifest: the stage's rows, with `image_id`, `uri` and `levels`.
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
    work, target = directory.at("listing", FOLDER), directory.at(FOLDER)
    run_table_job(
        "maps: features of the sample",
        source=write_listing(work, wanted),
        work=work,
        target=target,
        steps=[
            Step(
                decode_rows,
                {"size": side_of(section)},
                cpus=DECODE_CPUS,
                tasks=section.decode_workers,
                batch_size=AT_ONCE,
            ),
            Step(
                FeatureActor,
                {
                    "section": section,
                    "cuda": pool.gpus > 0,
                    "neighbours": pool.neighbours(place.nodes),
                },
                actors=pool.actors,
                cpus=ACTOR_CPUS,
                gpus=pool.gpus,
                batch_size=AT_ONCE,
                counted=True,
            ),
        ],
        id_column="image_id",
        total=wanted.num_rows,
        here=place.here,
    )
    return target
