"""What the choice reads: the corpus' images with their maps and embeddings, and which are left to label."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster.errors import UserError
from cluster.stages import Artifact
from pipelines.choice.candidates import Candidates, candidates
from pipelines.choice.embedding_rows import EMBEDDINGS_FOLDER
from pipelines.choice.embedding_stage import read_embeddings
from pipelines.tables import IDENTITY, SIZE, CorpusTables

# A detector's stage lists files by these; the content hash stands for size and time.
LISTED = pa.schema(
    [("uri", pa.string()), ("name", pa.string()), ("bytes", pa.int64()), ("modified", pa.int64())]
)


@dataclass(frozen=True)
class ChoiceSources:
    """Artifacts that the choice reads, and their tables, each read once.

    Attributes:
        corpus, maps, embeddings: the stages' artifacts.
        labelled: artifact of labelled images elsewhere (`finetune.data`); None without any.
        limit: most differing bits of near-duplicates.
    """

    corpus: Artifact
    maps: Artifact
    embeddings: Artifact
    labelled: Artifact | None
    limit: int

    @property
    def inputs(self) -> dict[str, Artifact]:
        """The artifacts by name."""
        named = {"corpus": self.corpus, "maps": self.maps, "embeddings": self.embeddings}
        return named if self.labelled is None else {**named, "labels": self.labelled}

    @cached_property
    def rows(self) -> Mapping[str, dict[str, Any]]:
        """Identity, size and map score by image.

        Raises:
            UserError: a score that is no number.
        """
        names = [*(name for name, _ in [*IDENTITY, *SIZE]), "score"]
        table = self.maps.directory.read_table("maps", columns=names)
        rows = {row["image_id"]: row for row in table.to_pylist()}
        bad = [row["uri"] for row in rows.values() if row["score"] is None or not np.isfinite(row["score"])]
        if bad:
            raise UserError(
                f"The map score of {bad[0]} is no number; delete {self.maps.directory.uri} and make the maps "
                "anew."
            )
        return rows

    @cached_property
    def vectors(self) -> tuple[Mapping[str, int], npt.NDArray[np.float32]]:
        """The place of each image's embedding, and the embeddings (N, D) float32."""
        ids, vectors = read_embeddings(self.embeddings.directory.at(EMBEDDINGS_FOLDER))
        return {image_id: place for place, image_id in enumerate(ids)}, vectors

    @cached_property
    def sorted_out(self) -> Candidates:
        """Which images may be chosen, which are labelled, and why the others are left out."""
        usable = frozenset(self.rows.keys() & self.vectors[0].keys())
        labelled = None if self.labelled is None else CorpusTables(self.labelled.directory)
        return candidates(CorpusTables(self.corpus.directory), usable, labelled, self.limit)

    @property
    def free(self) -> list[str]:
        """Ids of the images that may be chosen, sorted."""
        return sorted(self.sorted_out.groups)

    def listing(self) -> pa.Table:
        """The images that may be chosen, as a listing for a detector.

        Raises:
            UserError: none may be.
        """
        if not self.free:
            raise nothing_left(self.sorted_out.left_out)
        rows = [{"uri": self.rows[one]["uri"], "name": one, "bytes": 0, "modified": 0} for one in self.free]
        return pa.Table.from_pylist(rows, schema=LISTED)


def refuse_without_images(corpus: Artifact, labelled: Artifact | None, limit: int) -> None:
    """Tell why nothing is left to label, before maps or embeddings are made for it.

    Args:
        corpus, labelled, limit: see `ChoiceSources`.

    Raises:
        UserError: nothing is.
    """
    tables = CorpusTables(corpus.directory)
    every = frozenset(row["image_id"] for row in tables.manifest(columns=("image_id",)))
    elsewhere = None if labelled is None else CorpusTables(labelled.directory)
    sorted_out = candidates(tables, every, elsewhere, limit)
    if not sorted_out.groups:
        raise nothing_left(sorted_out.left_out)


def nothing_left(left_out: Mapping[str, int]) -> UserError:
    """What is told where no image may be chosen.

    Args:
        left_out: number of images by reason.
    """
    counts = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    return UserError(
        f"No image of the corpus is left to label ({counts}); add unlabelled images to the corpus."
    )
