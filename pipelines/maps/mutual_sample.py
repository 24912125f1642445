"""Mutual scoring's sample: which images judge the others, their features in a table, and its states."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from cluster.errors import UserError
from cluster.progress import say
from cluster.storage import Storage
from pipelines.banks import BankSection
from pipelines.maps.bank_method import MIB, BankMethod
from pipelines.maps.method import CategoryState
from pipelines.tables import ManifestRow

FOLDER = "sample"  # of the stage's directory
LEAST = 2  # images of a category: with one, nothing is left to judge it
Pairs = Mapping[str, Collection[str]]


def near_pairs(corpus: Storage) -> Pairs:
    """image_id → ids of its near-duplicates, from a corpus artifact."""
    near: dict[str, set[str]] = defaultdict(set)
    table = corpus.read_table("near_duplicates.parquet", columns=["image_id_a", "image_id_b"])
    for row in table.to_pylist():
        near[row["image_id_a"]].add(row["image_id_b"])
        near[row["image_id_b"]].add(row["image_id_a"])
    return near


def chosen(rows: Sequence[ManifestRow], near: Pairs, bank: BankSection) -> list[str]:
    """Ids of the images that judge: the first of each category in an order that the seed draws.

    Held-out images and near-duplicates of images chosen already are left out.

    Args:
        rows: the corpus' images, with `image_id`, `category` and `split`.
        near: result of `near_pairs`.
        bank: the bank's options.

    Raises:
        UserError: a category with fewer than two such images.
    """

    def place(row: ManifestRow) -> bytes:
        return hashlib.sha256(f"{bank.seed}:{row['image_id']}".encode()).digest()

    taken: dict[str, list[str]] = {row["category"]: [] for row in rows}
    for row in sorted(rows, key=place):
        judges = taken[row["category"]]
        fresh = row["split"] != "test" and not set(near.get(row["image_id"], ())).intersection(judges)
        if fresh and len(judges) < bank.sample:
            judges.append(row["image_id"])
    for category, judges in sorted(taken.items()):
        if len(judges) < LEAST:
            raise UserError(
                f'maps.bank.mode=mutual needs {LEAST} images of "{category}" that are neither held out nor '
                f"near-duplicates, and it has {len(judges)}; add images, or take maps.bank.mode=references."
            )
    return [image for judges in taken.values() for image in judges]


def feature_rows(method: BankMethod, rows: pa.Table) -> pa.Table:
    """Features of readable decoded rows: `image_id`, `category`, and by level (N, D) float32 in `level_0`, ….

    Args:
        method: the method, whose `features` are kept.
        rows: result of `readable_rows`.
    """
    pixels = torch.zeros(1, 3, method.input_side, method.input_side)  # gives the columns' shapes
    if rows.num_rows:
        pixels = torch.from_numpy(rows.column("pixels").combine_chunks().to_numpy_ndarray().copy())
    return feature_table(rows, [level.flatten(1, 2) for level in method.features(pixels)])


def feature_table(rows: pa.Table, levels: Sequence[Tensor]) -> pa.Table:
    """Identity of the rows with their features, (B, N, D) by level; without rows B is 1 and gives shapes."""
    columns = {name: rows.column(name) for name in ("image_id", "category")}
    for number, level in enumerate(levels):
        values = np.ascontiguousarray(level.float().cpu().numpy())
        tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(values)
        columns[f"level_{number}"] = tensors[: rows.num_rows]
    return pa.table(columns)


def judged_states(
    states: Mapping[str, CategoryState], sample: Storage, near: Pairs
) -> dict[str, CategoryState]:
    """The states with the sample as their banks, and who must not judge whom.

    Args:
        states: state of each category, without banks.
        sample: directory of `feature_rows`, one row an image.
        near: result of `near_pairs`.

    Raises:
        UserError: fewer than two images of a category could be read.
    """
    table = pa.concat_tables(
        sample.read_table(name) for name in sample.children() if name.endswith(".parquet")
    ).sort_by("image_id")
    levels = [name for name in table.column_names if name.startswith("level_")]
    categories = np.array(table.column("category").to_pylist(), dtype=object)
    judged, memory = {}, 0
    for category, state in states.items():
        own = table.take(pa.array(np.flatnonzero(categories == category)))
        if own.num_rows < LEAST:
            raise UserError(
                f'maps.bank.mode=mutual: of the sample of "{category}" {own.num_rows} images could be read, '
                f"{LEAST} are needed; see the corpus for unreadable ones."
            )
        banks = tuple(
            torch.from_numpy(own.column(name).combine_chunks().to_numpy_ndarray().copy()) for name in levels
        )
        memory += sum(bank.numel() * bank.element_size() for bank in banks)
        barred: dict[str, tuple[int, ...]] = {}
        for number, image in enumerate(own.column("image_id").to_pylist()):
            for other in (image, *near.get(image, ())):
                barred[other] = (*barred.get(other, ()), number)
        full = [image for image, out in barred.items() if len(out) == own.num_rows]
        if full:
            raise UserError(
                f'maps.bank.mode=mutual: every image of the sample of "{category}" is a near-duplicate '
                f"of the image {full[0]}; raise maps.bank.sample, or add images."
            )
        judged[category] = replace(state, banks=banks, barred=barred)
    say(f"bank: {table.num_rows} images judge the others, {memory / MIB:.1f} MiB of features")
    return judged
