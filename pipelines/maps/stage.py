"""The maps stage: KeAD (or WinCLIP) over the corpus by Ray Data actors."""

from collections.abc import Mapping
from typing import Any, cast

import pyarrow as pa
import ray
import torch

from cluster.errors import UserError
from cluster.on_ray import Sender, machine_cpus, record, start_ray
from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, digest, ensure
from cluster.storage import Storage
from pipelines.banks import CLIP, Backbone, bank_digest
from pipelines.encoder import say_normalisation, weights_digest
from pipelines.images import Levels
from pipelines.maps.build import build_method, side_of
from pipelines.maps.mutual_job import write_sample
from pipelines.maps.mutual_sample import Pairs, judged_states, near_pairs
from pipelines.maps.resources import DECODE_CPUS, images_at_once
from pipelines.maps.rows import (
    category_states,
    decode_rows,
    map_batch,
    readable_rows,
)
from pipelines.maps.section import MapsSection
from pipelines.maps.sentences import check_sentences
from pipelines.tables import (
    ACTOR_CPUS,
    QUARANTINE,
    ROWS_PER_FILE,
    CorpusTables,
    Step,
    actor_pool,
    check_bad_share,
    read_errors,
    run_table_job,
    write_errors,
    write_listing,
)


def check_maps(section: MapsSection, categories: set[str]) -> dict[str, str]:
    """Check encoder and prompts before a cluster is touched.

    Returns:
        Digests of the weights, the bank's too, and of the prompts used, for the fingerprint.

    Raises:
        UserError: unknown encoder, missing weights, a category without prompts, a sentence longer than the
            encoder reads.
    """
    check_sentences(section, categories)
    prompts = {name: prompts.model_dump() for name, prompts in section.prompts_of(categories).items()}
    weights = weights_digest(section.encoder.model, section.encoder.weights)
    bank = {} if section.bank.encoder == CLIP else {"bank": bank_digest(section.bank)}
    return {"encoder": weights, "prompts": digest(prompts), **bank}


def make_maps(section: MapsSection, *, site: Site, corpus: Artifact) -> Artifact:
    """Anomaly map and score of every image, held-out ones included (they are only evaluated).

    Writes `maps/` and `quarantine.parquet`; for mutual scoring `sample/` too, the features that judge.

    Raises:
        UserError: too many unreadable images; a category without references once bad ones are gone; see
            `check_maps`.
    """
    tables = CorpusTables(corpus.directory)
    references, levels = tables.references(), tables.levels("uri")
    _check_references(section, references)

    def body(bench: Workbench) -> Mapping[str, Any]:
        work, target = bench.directory.at("listing"), bench.directory.at("maps")
        manifest = tables.manifest_table(("image_id", "uri", "category", "width", "height"))
        pairs = [levels.get(uri) for uri in manifest.column("uri").to_pylist()]
        manifest = manifest.append_column("levels", pa.array(pairs, pa.list_(pa.float64())))
        source = write_listing(work, manifest)
        if section.bank.encoder != CLIP:
            Backbone(section.bank)  # a level or weights that don't fit are told before Ray is started
        start_ray()
        pool = actor_pool("maps", section, ray.cluster_resources())  # type: ignore[no-untyped-call]
        say(f"maps: {pool.note}")
        say_normalisation(section.encoder.model, section.encoder.weights)
        cuda, neighbours = pool.gpus > 0, pool.neighbours(len(ray.nodes()))  # type: ignore[no-untyped-call]
        sample = None
        if section.bank.mode == "mutual":
            nodes = len(ray.nodes())  # type: ignore[no-untyped-call]
            features = write_sample(
                section,
                corpus=corpus.directory,
                directory=bench.directory,
                manifest=manifest,
                pool=pool,
                nodes=nodes,
            )
            sample = features, near_pairs(corpus.directory)
        prepare = ray.remote(num_gpus=pool.gpus, num_cpus=ACTOR_CPUS, num_returns=2)(_prepare)
        states, batch = cast(list[Any], prepare.remote(section, references, levels, cuda, neighbours, sample))
        images: int = ray.get(batch)
        run_table_job(
            f"maps: {section.method}",
            source=source,
            work=work,
            target=target,
            steps=[
                Step(
                    decode_rows,
                    {"size": side_of(section)},
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
                        "errors": work.at("errors"),
                    },
                    actors=pool.actors,
                    cpus=ACTOR_CPUS,
                    gpus=pool.gpus,
                    batch_size=images,
                    counted=True,
                ),
            ],
            id_column="image_id",
            total=manifest.num_rows,
            # Twenty checkpoints or more; a block of 256 images outweighs Ray's own work.
            block_rows=max(ROWS_PER_FILE, min(256, manifest.num_rows // 20)),
        )
        return _finish(bench, manifest, read_errors(work.at("errors")), section.max_bad_share)

    return ensure(
        "maps",
        site=site,
        config=section.deciding,
        inputs={"corpus": corpus},
        extra=check_maps(section, set(references)),
        body=body,
        revision=section.kead.revision if section.method == "kead" else 1,
    )


def _check_references(section: MapsSection, references: Mapping[str, list[str]]) -> None:
    for category, uris in references.items():
        if len(uris) < section.shots:
            raise UserError(
                f'Category "{category}" has only {len(uris)} readable, different normal reference images and '
                f"{section.shots_setting}={section.shots} needs {section.shots}; add some."
            )


def _prepare(
    section: MapsSection,
    references: Mapping[str, list[str]],
    levels: Mapping[str, Levels],
    cuda: bool,
    neighbours: int,
    sample: tuple[Storage, Pairs] | None,
) -> tuple[Any, int]:
    """Every category's state, and the number of images an actor gets at once."""
    torch.set_num_threads(machine_cpus())
    method = build_method(section, "cuda" if cuda else "cpu")
    states = category_states(method, section, references, levels)
    if sample is not None:
        states = judged_states(states, *sample)
    return states, images_at_once(section, method, neighbours)


class MapActor:
    """Holds the method with its encoder and every category's embeddings; maps decoded batches.

    Rows whose image can't be read have no map; the reasons are written to `errors`. They are in no
    checkpoint, so a resumed job reads them again.

    Args:
        section: the stage's config.
        states: object reference of the states that `_prepare` made.
        cuda: whether the actor has (a share of) a GPU.
        neighbours: number of actors that share the device.
        errors: directory for `write_errors`.
        counter: counter of finished images.
    """

    def __init__(
        self,
        section: MapsSection,
        states: Any,
        cuda: bool,
        neighbours: int,
        errors: Storage,
        counter: Sender,
    ) -> None:
        torch.set_num_threads(max(1, machine_cpus() // neighbours))
        self.method, self.counter = build_method(section, "cuda" if cuda else "cpu"), counter
        self.parts, self.errors = section.store_parts, errors
        self.states = ray.get(states)

    def __call__(self, rows: pa.Table) -> pa.Table:
        write_errors(rows, self.errors)
        done = map_batch(self.method, self.states, readable_rows(rows), self.parts)
        self.counter.add(rows.num_rows)
        return done


def _finish(
    bench: Workbench, manifest: pa.Table, errors: Mapping[str, str], max_bad_share: float
) -> Mapping[str, Any]:
    """Write which images have no map and why; return statistics of the rest.

    Args:
        bench: the stage's workbench, with `maps/`.
        manifest: rows of the images to map.
        errors: image_id → why it couldn't be read; ignored for an image that was read later.
        max_bad_share: the stage's limit.
    """
    done = bench.directory.read_table("maps", columns=["image_id", "score", "map_max"])
    ids = set(done.column("image_id").to_pylist())
    missing = [row for row in manifest.to_pylist() if row["image_id"] not in ids]
    lost = [row["uri"] for row in missing if row["image_id"] not in errors]
    if lost:
        raise RuntimeError(
            f"{bench.directory.uri}/maps lacks {len(lost)} images that could be read (first: {lost[0]}); "
            f"delete {bench.directory.uri} and run again."
        )
    bad = [{"uri": row["uri"], "stage": "maps", "reason": errors[row["image_id"]]} for row in missing]
    record("agssp_quarantined", len(bad), stage="maps")
    first = f"{bad[0]['uri']}: {bad[0]['reason']}" if bad else ""
    bench.directory.write_table("quarantine.parquet", pa.Table.from_pylist(bad, schema=QUARANTINE))
    where = bench.directory.uri_of("quarantine.parquet")
    check_bad_share(len(bad), manifest.num_rows, max_bad_share, "maps", first, tables=where)
    if len(ids) != done.num_rows:
        raise RuntimeError(
            f"{bench.directory.uri}/maps holds rows twice; delete {bench.directory.uri} and run again."
        )
    scores = done.column("score").to_numpy()
    return {
        "images": done.num_rows,
        "quarantined": len(bad),
        "mean_score": float(scores.mean()),
        "mean_map_max": float(done.column("map_max").to_numpy().mean()),
    }
