"""The maps stage: KeAD (or WinCLIP) over the corpus by Ray Data actors."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import ray
import torch

from cluster.row_counter import Sender
from cluster.session import machine_cpus, start_ray
from cluster.stages import Artifact, Workbench, digest, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.corpus import REFERENCE, check_bad_share
from pipelines.encoder import input_size, weights_digest
from pipelines.images import ImageError, read_image
from pipelines.maps import MapsSection, category_states, decode_rows, map_batch
from pipelines.table_job import Step, run_table_job, write_listing
from pipelines.tables import QUARANTINE


def check_maps(section: MapsSection, categories: set[str]) -> dict[str, str]:
    """Everything about encoder and prompts that can be checked before a cluster is touched.

    Returns:
        Digests of the weights and of the prompts used, for the fingerprint.

    Raises:
        UserError: unknown encoder, missing weights, a category without prompts.
    """
    library = section.library()
    prompts = {name: library.category(name).model_dump() for name in sorted(categories)}
    weights = weights_digest(section.encoder.model, section.encoder.weights)
    return {"encoder": weights, "prompts": digest(prompts)}


def make_maps(
    section: MapsSection, *, workspace: Storage, pipeline: PipelineRun, corpus: Artifact
) -> Artifact:
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
        gpus = section.gpus_per_actor
        available = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
        if gpus is None:
            gpus = 1.0 if available else 0.0
        actors = section.actors or (max(1, int(available / gpus)) if gpus else 1)
        prepare = ray.remote(num_gpus=gpus, num_cpus=0.5)(_prepare)
        states = prepare.remote(section, references, gpus > 0)
        run_table_job(
            f"maps: {section.method}",
            source=source,
            work=work,
            target=target,
            steps=[
                Step(
                    decode_rows,
                    {"size": input_size(section.encoder.model, section.encoder.weights)},
                    batch_size=section.batch_size,
                ),
                Step(
                    MapActor,
                    {"section": section, "states": states, "cuda": gpus > 0, "counter": None},
                    actors=actors,
                    gpus=gpus,
                    batch_size=section.batch_size,
                ),
            ],
            id_column="image_id",
            total=manifest.num_rows,
        )
        return _finish(bench, manifest, section.max_bad_share)

    return ensure(
        "maps",
        workspace=workspace,
        pipeline=pipeline,
        config=section.deciding,
        inputs={"corpus": corpus},
        extra=check_maps(section, set(references)),
        body=body,
    )


def _prepare(section: MapsSection, references: Mapping[str, list[str]], cuda: bool) -> Any:
    torch.set_num_threads(machine_cpus())
    return category_states(section, references, "cuda" if cuda else "cpu")


class MapActor:
    """Holds the method with its encoder and every category's embeddings; maps decoded batches."""

    def __init__(self, section: MapsSection, states: Any, cuda: bool, counter: Sender) -> None:
        torch.set_num_threads(machine_cpus())
        self.method, self.counter = section.build("cuda" if cuda else "cpu"), counter
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
