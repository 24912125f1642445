"""The fingerprint of images: looks, map score and embedding, alike for the corpus and for new ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from cluster.progress import progress
from cluster.stages import Artifact, Site, Workbench, digest, ensure
from pipelines.choice import embedded
from pipelines.corpus import perceptual_hash
from pipelines.device import best_device
from pipelines.drift.listing import Corpus
from pipelines.drift.measures import looks
from pipelines.encoder import load_encoder
from pipelines.image_maps import Mapper
from pipelines.images import ImageError, content_hash, decode_image, read_bytes
from pipelines.maps import MapsSection, check_maps, preprocess
from pipelines.tables import QUARANTINE, SIZE, check_bad_share

AT_ONCE, BYTES_AT_ONCE = 16, 1 << 28  # images, and bytes of their pixels, in memory
FINGERPRINT_FILE = "fingerprint.parquet"
NUMBERS = ("brightness", "contrast", "sharpness", "score")
Pixels = npt.NDArray[np.uint8]


def fingerprint_schema(width: int) -> pa.Schema:
    """Schema of a fingerprint; `embedding` has so many numbers, `score` is null for mutual scoring."""
    return pa.schema(
        [
            ("image_id", pa.string()),
            ("uri", pa.string()),
            ("phash", pa.string()),
            *SIZE,
            *((name, pa.float64()) for name in NUMBERS),
            ("embedding", pa.list_(pa.float32(), width)),
        ]
    )


def fingerprint(
    rows: Sequence[Mapping[str, Any]],
    states: str,
    section: MapsSection,
    compared: Corpus,
    *,
    site: Site,
    inputs: Mapping[str, Artifact],
) -> Artifact:
    """Look at images, in this process; those that can't be read are listed.

    Writes `fingerprint.parquet` and `quarantine.parquet`.

    Args:
        rows: rows with `LOOKED_AT`.
        states: digest of the images' files.
        section: the maps' config.
        compared: the corpus' category, references and levels, by which maps are made.
        site: workspace and tracking run.
        inputs: the corpus' artifact, and that of the maps' trained head.

    Raises:
        UserError: more unreadable images than `maps.max_bad_share`; see `check_maps` and `Mapper`.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        done, bad, pictures = [], [], Pictures(section, compared)
        with progress("fingerprint: looking at images", len(rows)) as bar:
            for read, lost in _chunks(rows):
                bad += lost
                if read:
                    done += pictures.rows(read)
                bar.advance(len(read) + len(lost))
        bench.directory.write_table("quarantine.parquet", pa.Table.from_pylist(bad, schema=QUARANTINE))
        where = bench.directory.uri_of("quarantine.parquet")
        first = f"{bad[0]['uri']}: {bad[0]['reason']}" if bad else ""
        check_bad_share(len(bad), len(rows), section.max_bad_share, "maps", first, tables=where)
        width = len(done[0]["embedding"]) if done else 1
        table = pa.Table.from_pylist(done, schema=fingerprint_schema(width))
        bench.directory.write_table(FINGERPRINT_FILE, table)
        return {"images": len(done), "quarantined": len(bad)}

    return ensure(
        "fingerprint",
        site=site,
        config={"maps": section.deciding, "category": compared.category},
        inputs=inputs,
        extra={**check_maps(section, {compared.category}), "images": digest([states, *map(_named, rows)])},
        body=body,
    )


def _named(row: Mapping[str, Any]) -> list[Any]:
    return [row["uri"], row["levels"]]


class _Read:
    """An image that was read."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        data = read_bytes(row["uri"])
        levels = row["levels"]
        self.pixels = decode_image(data, None if levels is None else (levels[0], levels[1]))
        self.about = {"image_id": content_hash(data), "uri": row["uri"]}
        if row["image_id"] not in (None, self.about["image_id"]):
            raise ImageError(f"{row['uri']} has changed since the corpus was listed")


def _chunks(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[list[_Read], list[dict[str, str]]]]:
    """Images that fit into memory together, and those that can't be read, as rows of `QUARANTINE`."""
    read: list[_Read] = []
    lost: list[dict[str, str]] = []
    for row in rows:
        try:
            read.append(_Read(row))
        except ImageError as error:
            lost.append({"uri": row["uri"], "stage": "fingerprint", "reason": str(error)})
        if len(read) == AT_ONCE or sum(one.pixels.nbytes for one in read) > BYTES_AT_ONCE:
            yield read, lost
            read, lost = [], []
    yield read, lost


class Pictures:
    """What the maps' encoder makes of images.

    Args:
        section: the maps' config.
        compared: see `fingerprint`.

    Raises:
        UserError: see `Mapper`.
    """

    def __init__(self, section: MapsSection, compared: Corpus) -> None:
        self.category, self.mapper = compared.category, None
        if section.bank.mode != "mutual":  # which scores a corpus by itself, and no image alone
            references = {compared.category: compared.references[compared.category]}
            self.mapper = Mapper(references, section, levels=compared.levels)
            self.encoder = self.mapper.method.encoder
        else:
            encoder = section.encoder
            self.encoder = load_encoder(encoder.model, encoder.weights, device=best_device())

    def rows(self, read: Sequence[_Read]) -> list[dict[str, Any]]:
        """Rows of the fingerprint."""
        size = self.encoder.image_size
        inputs = np.stack([preprocess(one.pixels, size) for one in read])
        vectors = embedded(self.encoder, torch.from_numpy(inputs)).numpy()
        scores: list[float | None] = [None] * len(read)
        if self.mapper is not None:
            scores = [made.score for made in self.mapper([one.pixels for one in read], self.category)]
        return [
            {
                **one.about,
                "phash": perceptual_hash(one.pixels),
                "width": one.pixels.shape[1],
                "height": one.pixels.shape[0],
                **looks(one.pixels),
                "score": score,
                "embedding": vector,
            }
            for one, score, vector in zip(read, scores, vectors, strict=True)
        ]
