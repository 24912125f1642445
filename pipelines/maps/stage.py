"""The maps stage: KeAD (or WinCLIP) over the corpus by Ray Data actors."""

from collections.abc import Mapping
from typing import Any, cast

import pyarrow as pa
import ray
import torch

from cluster.on_ray import Sender, machine_cpus, record, start_ray
from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, digest, ensure
from pipelines.corpus import REFERENCE
from pipelines.encoder import input_size, weights_digest
from pipelines.images import ImageError, read_image
from pipelines.maps.build import build_method
from pipelines.maps.resources import ACTOR_CPUS, DECODE_CPUS, images_at_once, map_resources
from pipelines.maps.rows import category_states, decode_rows, map_batch
from pipelines.maps.section import MapsSection
from pipelines.tables import QUARANTINE, ROWS_PER_FILE, Step, check_bad_share, run_table_job, write_listing


def check_maps(section: MapsSection, categories: set[str]) -> dict[str, str]:
    """Everything about encoder and prompts that can be checked before a cluster is touched.

    Returns:
        Digests of the weights and of the prompts used, for the fingerprint.

    Raises:
        UserError: unknown encoder, missing weights, a category without prompts.
    """
    prompts = {name: prompts.model_dump() for name, prompts in section.prompts_of(categories).items()}
    weights = weights_digest(section.encoder.model, section.encoder.weights)
    return {"encoder": weights, "prompts": digest(prompts)}


def make_maps(section: MapsSection, *, site: Site, corpus: Artifact) -> Artifact:
    """Anomaly map and score of every image, held-out ones included (they are only evaluated).

    Writes `maps/` and `quarantine.parquet`.

    Raises:
        UserError: too many unreadable images; see `check_maps`.
    """
    manifest = corpus.directory.read_table("manifest")
    references: dict[str, list[str]] = {
        name: [] for name in sorted(set(manifest.column("category").to_pylist()))
    }
    for row in manifest.to_pylist():
        if row["role"] == REFERENCE:
            references[row["category"]].append(row["uri"])

    def body(bench: Workbench) -> Mapping[str, Any]:
        work, target = bench.directory.at("listing"), bench.directory.at("maps")
        source = write_listing(work, manifest.select(["image_id", "uri", "category", "width", "height"]))
        start_ray()
        cluster = ray.cluster_resources()  # type: ignore[no-untyped-call]
        resources = map_resources(section, cluster.get("GPU", 0), cluster.get("CPU", 0))
        say(f"maps: {resources.note}")
        cuda, neighbours = resources.gpus > 0, resources.neighbours(len(ray.nodes()))  # type: ignore[no-untyped-call]
        prepare = ray.remote(num_gpus=resources.gpus, num_cpus=ACTOR_CPUS, num_returns=2)(_prepare)
        states, batch = cast(list[Any], prepare.remote(section, references, cuda, neighbours))
        images: int = ray.get(batch)
        run_table_job(
            f"maps: {section.method}",
            source=source,
            work=work,
            target=target,
            steps=[
                Step(
                    decode_rows,
                    {"size": input_size(section.encoder.model, section.encoder.weights)},
                    cpus=DECODE_CPUS,
                    tasks=section.decode_workers,
                    batch_size=images,
                ),
                Step(
                    MapActor,
                    {
                        "section": section,
                        "states": states,
                        "cuda": cuda,
                        "neighbours": neighbours,
                        "counter": None,
                    },
                    actors=resources.actors,
                    cpus=ACTOR_CPUS,
                    gpus=resources.gpus,
                    batch_size=images,
                ),
            ],
            id_column="image_id",
            total=manifest.num_rows,
            # Twenty checkpoints or more; a block of 256 images is work enough beside Ray's own.
            block_rows=max(ROWS_PER_FILE, min(256, manifest.num_rows // 20)),
        )
        return _finish(bench, manifest, section.max_bad_share)

    return ensure(
        "maps",
        site=site,
        config=section.deciding,
        inputs={"corpus": corpus},
        extra=check_maps(section, set(references)),
        body=body,
    )


def _prepare(
    section: MapsSection, references: Mapping[str, list[str]], cuda: bool, neighbours: int
) -> tuple[Any, int]:
    """Every category's state, and how many images an actor gets at once."""
    torch.set_num_threads(machine_cpus())
    method = build_method(section, "cuda" if cuda else "cpu")
    return category_states(method, section, references), images_at_once(section, method, neighbours)


class MapActor:
    """Holds the method with its encoder and every category's embeddings; maps decoded batches.

    Args:
        section: the stage's config.
        states: object reference of what `_prepare` made.
        cuda: whether it has (a share of) a GPU.
        neighbours: actors that share its device.
        counter: counts images done.
    """

    def __init__(
        self, section: MapsSection, states: Any, cuda: bool, neighbours: int, counter: Sender
    ) -> None:
        torch.set_num_threads(max(1, machine_cpus() // neighbours))
        self.method, self.counter = build_method(section, "cuda" if cuda else "cpu"), counter
        self.parts = section.store_parts
        self.states = ray.get(states)

    def __call__(self, rows: pa.Table) -> pa.Table:
        done = map_batch(self.method, self.states, rows, self.parts)
        self.counter.add(done.num_rows)
        return done


def _finish(bench: Workbench, manifest: pa.Table, max_bad_share: float) -> Mapping[str, Any]:
    """Name what has no map and why; the statistics of the rest."""
    done = bench.directory.read_table("maps", columns=["image_id", "score", "map_max"])
    ids = set(done.column("image_id").to_pylist())
    missing = [row for row in manifest.to_pylist() if row["image_id"] not in ids]
    bad = [{"uri": row["uri"], "stage": "maps", "reason": _reason(row["uri"])} for row in missing]
    record("agssp_quarantined", len(bad), stage="maps")
    first = f"{bad[0]['uri']}: {bad[0]['reason']}" if bad else ""
    check_bad_share(len(bad), manifest.num_rows, max_bad_share, "maps", first)
    bench.directory.write_table("quarantine.parquet", pa.Table.from_pylist(bad, schema=QUARANTINE))
    if len(ids) != done.num_rows:
        raise RuntimeError(
            f"{bench.directory.uri}/maps holds rows twice; delete that directory and run again."
        )
    scores = done.column("score").to_numpy()
    return {
        "images": done.num_rows,
        "quarantined": len(bad),
        "mean_score": float(scores.mean()),
        "mean_map_max": float(done.column("map_max").to_numpy().mean()),
    }


def _reason(uri: str) -> str:
    try:
        read_image(uri)
    except ImageError as error:
        return str(error)
    return "could not be read when maps were made; it can now (delete this artifact to map it)"
