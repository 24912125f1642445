"""The rows that an audit judges: painted images with both of their maps, and labelled images."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.stages import Artifact
from pipelines.audit.judging import judged_schema
from pipelines.maps import Floats, map_rows
from pipelines.tables import REFERENCE, SIDES, CorpusTables, sides

LABELLED = 600  # labelled images of a category that the audit is compared with


def rows_to_judge(
    painted: list[dict[str, Any]], painted_maps: Artifact, corpus: Artifact, maps: Artifact, *, seed: int
) -> pa.Table:
    """Rows of `judged_schema`: painted images first by id, then labelled ones; none without a map.

    Labelled images are those outside the test split that no map is compared with, of categories where any
    has a box.

    Args:
        painted: rows of `AUDIT_IMAGES`.
        painted_maps: the maps of the painted images.
        corpus, maps: the user's own.
        seed: seed of the choice of labelled images.
    """
    labelled = _labelled(corpus, {row["category"] for row in painted}, seed)
    originals = {row["original"] for row in painted}
    plain = _maps_of(maps, originals | labelled.keys())
    own = _maps_of(painted_maps, {row["image_id"] for row in painted})
    rows: list[dict[str, Any]] = []
    stacks: list[tuple[Floats, Floats]] = []
    for row in sorted(painted, key=lambda row: str(row["image_id"])):
        if row["image_id"] in own and row["original"] in plain:
            (after, drawn_on), (before, as_it_was) = own[row["image_id"]], plain[row["original"]]
            scores = {"score": after["score"], "plain_score": before["score"]}
            rows.append({**row, **scores, "ignored": []})
            stacks.append((drawn_on, as_it_was))
    for image_id, label in sorted(labelled.items()):
        if image_id in plain:
            row, anomaly_map = plain[image_id]
            rows.append({**row, **label, "plain_score": row["score"]})
            stacks.append((anomaly_map, anomaly_map))
    shape = next((one.shape for one, _ in stacks), (1, 1))
    schema = judged_schema(shape)
    columns: dict[str, Any] = {}
    for place, name in enumerate(("map", "plain_map")):
        stack = np.stack([both[place] for both in stacks] or [np.zeros(shape, np.float32)]).astype(np.float16)
        columns[name] = pa.FixedShapeTensorArray.from_numpy_ndarray(stack)[: len(rows)]
    for name in schema.names:
        if name not in columns:
            columns[name] = pa.array([row[name] for row in rows], schema.field(name).type)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _labelled(corpus: Artifact, categories: Collection[str], seed: int) -> dict[str, dict[str, Any]]:
    """What a row has of each chosen labelled image, by its id."""
    tables = CorpusTables(corpus.directory)
    labels = tables.labels()
    members: dict[str, list[str]] = {name: [] for name in sorted(categories)}
    for row in tables.manifest(columns=("image_id", "category", "split", "role")):
        judged = row["split"] != "test" and row["role"] != REFERENCE and row["image_id"] in labels
        if judged and row["category"] in members:
            members[row["category"]].append(row["image_id"])
    rng = np.random.default_rng(seed)
    chosen: dict[str, dict[str, Any]] = {}
    for ids in members.values():
        if not any(labels[image_id]["boxes"] for image_id in ids):
            continue
        for place in rng.permutation(len(ids))[:LABELLED]:
            image_id = sorted(ids)[place]
            label = labels[image_id]
            chosen[image_id] = {
                "boxes": [
                    dict(zip(SIDES, sides(box), strict=True)) | {"score": 1.0} for box in label["boxes"]
                ],
                "ignored": [dict(zip(SIDES, sides(box), strict=True)) for box in label["ignored"]],
                "painted": None,
                "original": image_id,
                "kind": None,
                "normal": True,
            }
    return chosen


def _plain(box: Mapping[str, Any]) -> dict[str, float]:
    return dict(zip(SIDES, sides(box), strict=True))


def _maps_of(maps: Artifact, ids: Collection[str]) -> Mapping[str, tuple[dict[str, Any], Floats]]:
    def chosen() -> Iterator[tuple[str, tuple[dict[str, Any], Floats]]]:
        for row, anomaly_map in map_rows(maps):
            if row["image_id"] in ids:
                yield row["image_id"], (row, anomaly_map)

    return dict(chosen())
