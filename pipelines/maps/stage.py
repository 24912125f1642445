"""The maps stage: KeAD (or WinCLIP) over the corpus by Ray Data actors."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import UserError
from cluster.on_ray import record
from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, digest, ensure
from pipelines.banks import CLIP
from pipelines.encoder import LICENCES, map_licences, weights_digest
from pipelines.images import Levels
from pipelines.maps.coverage import say_coverage
from pipelines.maps.job_steps import encoding_steps
from pipelines.maps.section import MapsSection
from pipelines.maps.sentences import check_sentences
from pipelines.tables import (
    ACTOR_CPUS,
    QUARANTINE,
    ROWS_PER_FILE,
    CorpusTables,
    actor_pool,
    check_bad_share,
    job_place,
    read_errors,
    run_table_job,
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
    digests = {"encoder": weights_digest(section.encoder.model, section.encoder.weights)}
    if section.reads_text:
        prompts = {name: prompts.model_dump() for name, prompts in section.prompts_of(categories).items()}
        digests["prompts"] = digest(prompts)
    if section.bank.encoder != CLIP:
        from pipelines.banks import bank_digest  # brings PyTorch

        digests["bank"] = bank_digest(section.bank)
    if section.method == "painted" and section.painted.encoder != CLIP:
        from pipelines.banks import bank_digest

        digests["features"] = bank_digest(section.painted)
    if section.trained:
        from pipelines.heads import head_digest, required_head

        digests["head"] = head_digest(required_head(section.method, section.head))
    return digests


def make_maps(
    section: MapsSection, *, site: Site, corpus: Artifact, head: Artifact | None = None
) -> Artifact:
    """Anomaly map and score of every image, held-out ones included (they are only evaluated).

    Writes `maps/` and `quarantine.parquet`; for mutual scoring `sample/` too, the features that judge.

    Args:
        section: the config; of a trained method with the file of its head.
        site: workspace and tracking run.
        corpus: the corpus stage's artifact.
        head: the stage that trained the section's head, where one did.

    Raises:
        UserError: too many unreadable images; a category without references once bad ones are gone; see
            `check_maps`.
    """
    tables = CorpusTables(corpus.directory)
    references, levels = tables.references(), tables.levels("uri")
    _check_references(section, references)

    def body(bench: Workbench) -> Mapping[str, Any]:
        # They bring PyTorch and the encoder's library, which reading finished maps does not need.
        from pipelines.encoder import say_normalisation
        from pipelines.maps.actor import MapActor, prepare
        from pipelines.maps.build import build_method, input_of
        from pipelines.maps.mutual_job import write_sample
        from pipelines.maps.mutual_sample import near_pairs
        from pipelines.maps.tiled_rows import decoding

        work, target = bench.directory.at("listing"), bench.directory.at("maps")
        manifest = tables.manifest_table(("image_id", "uri", "category", "width", "height"))
        manifest = manifest.append_column("levels", _pairs(manifest, levels))
        source = write_listing(work, manifest)
        encoder = input_of(section)  # a level or weights that don't fit are told before Ray is started
        if section.trained:
            build_method(section, "cpu")  # so is a head of other features
        place = job_place(work, target, manifest.num_rows, actors=section.actors)
        pool = actor_pool("maps", section, place.resources())
        say(f"maps: {pool.note}")
        say_normalisation(section.encoder.model, section.encoder.weights)
        say_coverage(section, manifest, encoder)
        sample = None
        if section.bank.mode == "mutual":
            features = write_sample(
                section,
                corpus=corpus.directory,
                directory=bench.directory,
                manifest=manifest,
                encoder=encoder,
                pool=pool,
                place=place,
            )
            sample = features, near_pairs(corpus.directory)
        states, batch, method = place.run(
            prepare,
            section,
            references,
            levels,
            pool.gpus > 0,
            pool.neighbours(place.nodes),
            sample,
            place.here,  # this process would only build the same encoder again
            results=3,
            cpus=ACTOR_CPUS,
            gpus=pool.gpus,
        )
        images: int = batch.get()
        different = manifest.select(["width", "height"]).group_by(["width", "height"]).aggregate([])
        sizes = [(row["width"], row["height"]) for row in different.to_pylist()]
        run_table_job(
            f"maps: {section.method}",
            source=source,
            work=work,
            target=target,
            steps=encoding_steps(
                section,
                decoding(section, sizes, images, encoder),
                MapActor,
                {"states": states, "method": method, "errors": work.at("errors")},
                pool=pool,
                place=place,
            ),
            id_column="image_id",
            total=manifest.num_rows,
            # Twenty checkpoints or more; a block of 256 images outweighs Ray's own work.
            block_rows=max(ROWS_PER_FILE, min(256, manifest.num_rows // 20)),
            here=place.here,
        )
        results = _finish(bench, manifest, read_errors(work.at("errors")), section.max_bad_share)
        return {**results, LICENCES: map_licences({"config": section.deciding})}

    return ensure(
        "maps",
        site=site,
        config=section.deciding,
        inputs={"corpus": corpus} | ({} if head is None else {"head": head}),
        extra=check_maps(section, set(references)),
        body=body,
        revision=section.revision,
    )


def _pairs(manifest: pa.Table, levels: Mapping[str, Levels]) -> pa.Array:
    """Black and white of each image, null where it takes its own."""
    kind = pa.list_(pa.float64())
    if not levels:
        return pa.nulls(manifest.num_rows, kind)
    return pa.array([levels.get(uri) for uri in manifest.column("uri").to_pylist()], kind)


def _check_references(section: MapsSection, references: Mapping[str, list[str]]) -> None:
    for category, uris in references.items():
        if len(uris) < section.shots:
            raise UserError(
                f'Category "{category}" has only {len(uris)} readable, different normal reference images and '
                f"{section.shots_setting}={section.shots} needs {section.shots}; add some."
            )


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
    ids = pc.unique(done.column("image_id"))
    missing = manifest.filter(pc.invert(pc.is_in(manifest.column("image_id"), value_set=ids))).to_pylist()
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
