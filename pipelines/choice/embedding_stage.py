"""The embeddings stage: one pass of the maps' encoder over the images that may be labelled."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.storage import Storage
from pipelines.choice.embedding_rows import EMBEDDINGS_FOLDER, EmbeddingActor
from pipelines.encoder import input_size, weights_digest
from pipelines.maps import Decoding, MapsSection, decode_rows, encoding_steps
from pipelines.tables import (
    QUARANTINE,
    CorpusTables,
    actor_pool,
    check_bad_share,
    job_place,
    read_errors,
    run_table_job,
    write_listing,
)

AT_ONCE = 32  # images in a forward pass


def embed_images(section: MapsSection, *, site: Site, corpus: Artifact) -> Artifact:
    """The encoder's embedding of every image outside the held-out split; a killed run goes on.

    A stage of its own: maps that are made already hold no embedding, and stay valid. Writes `embeddings/`
    (`image_id`, `embedding` (D,) float16, L2-normalised) and `quarantine.parquet`.

    Args:
        section: the maps' config; its encoder, actors and share of bad images are taken.
        site: workspace and tracking run.
        corpus: the corpus stage's artifact.

    Raises:
        UserError: too many unreadable images; an encoder that can't be loaded.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        tables = CorpusTables(corpus.directory)
        seen, levels = tables.pretraining(), tables.levels()
        rows: list[dict[str, Any]] = [
            {"image_id": row["image_id"], "uri": row["uri"], "levels": levels.get(row["image_id"])}
            for row in tables.manifest(columns=("image_id", "uri"))
            if row["image_id"] in seen
        ]
        schema = pa.schema(
            [("image_id", pa.string()), ("uri", pa.string()), ("levels", pa.list_(pa.float64()))]
        )
        work, target = bench.directory.at("listing"), bench.directory.at(EMBEDDINGS_FOLDER)
        source = write_listing(work, pa.Table.from_pylist(rows, schema=schema))
        place = job_place(work, target, len(rows), actors=section.actors)
        pool = actor_pool("maps", section, place.resources())
        say(f"embeddings: {pool.note}")
        size = input_size(section.encoder.model, section.encoder.weights)
        decoding, held = Decoding(decode_rows, {"size": size}, AT_ONCE), {"errors": work.at("errors")}
        run_table_job(
            "embeddings: encoding images",
            source=source,
            work=work,
            target=target,
            steps=encoding_steps(section, decoding, EmbeddingActor, held, pool=pool, place=place),
            id_column="image_id",
            total=len(rows),
            here=place.here,
        )
        errors = read_errors(work.at("errors"))
        done, _ = read_embeddings(bench.directory.at(EMBEDDINGS_FOLDER))
        known = set(done)
        bad = [
            {"uri": row["uri"], "stage": "embeddings", "reason": errors[row["image_id"]]}
            for row in rows
            if row["image_id"] not in known
        ]
        if len(known) != len(done) or len(done) + len(bad) != len(rows):
            raise RuntimeError(
                f"{bench.directory.uri} holds {len(done)} embeddings for {len(rows)} images; delete it and "
                "run again."
            )
        bench.directory.write_table("quarantine.parquet", pa.Table.from_pylist(bad, schema=QUARANTINE))
        where = bench.directory.uri_of("quarantine.parquet")
        first = f"{bad[0]['uri']}: {bad[0]['reason']}" if bad else ""
        check_bad_share(len(bad), len(rows), section.max_bad_share, "maps", first, tables=where)
        return {"images": len(done), "quarantined": len(bad)}

    return ensure(
        "embeddings",
        site=site,
        config={"encoder": section.deciding["encoder"]},
        inputs={"corpus": corpus},
        extra={"encoder": weights_digest(section.encoder.model, section.encoder.weights)},
        body=body,
    )


def read_embeddings(folder: Storage) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Image ids, sorted, and their embeddings (N, D) float32, whichever files a job wrote them in.

    Args:
        folder: directory `embeddings` of the stage's artifact.
    """
    tables = [folder.read_table(name) for name in folder.children() if name.endswith(".parquet")]
    if not tables:
        return [], np.zeros((0, 0), np.float32)
    table = pa.concat_tables(tables)
    order = np.argsort(np.array(table.column("image_id").to_pylist(), dtype=str), kind="stable")
    ids = np.array(table.column("image_id").to_pylist(), dtype=object)[order].tolist()
    values = table.column("embedding").combine_chunks().to_numpy_ndarray()
    return ids, values[order].astype(np.float32)
