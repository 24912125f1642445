"""The reader of a corpus artifact: manifest, labels, held-out images."""

from typing import Any

from cluster.stages import Artifact


def held_out_ids(corpus: Artifact) -> frozenset[str]:
    """Ids of the test split, which pretraining must never see."""
    table = corpus.directory.read_table("manifest", columns=["image_id", "split"])
    return frozenset(row["image_id"] for row in table.to_pylist() if row["split"] == "test")


def read_labels(corpus: Artifact) -> dict[str, list[dict[str, Any]]]:
    """image_id → its labelled boxes; an empty list for a normal image."""
    table = corpus.directory.read_table("labels.parquet", columns=["image_id", "boxes"])
    return {row["image_id"]: row["boxes"] for row in table.to_pylist()}
