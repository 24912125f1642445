"""Which images may be chosen, from tables of a corpus and of labels elsewhere."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.storage.storage import Storage
from pipelines.choice.candidates import candidates
from pipelines.tables.corpus_tables import CorpusTables
from pipelines.tables.schemas import HASHES, LABELS, MANIFEST, NEAR_DUPLICATES


def tables(
    folder: Path,
    images: dict[str, tuple[str, str]],
    labelled: str = "",
    near: tuple[str, ...] = (),
    hashes: dict[str, str] | None = None,
) -> CorpusTables:
    """A corpus of images (split, role) by one-letter id; `near` are groups like `abc`."""
    storage = Storage.open(str(folder))
    rows: list[dict[str, Any]] = [
        {"image_id": one, "uri": f"/{one}.png", "category": "rail", "split": split, "role": role}
        for one, (split, role) in images.items()
    ]
    storage.write_table("manifest/part-0.parquet", pa.Table.from_pylist(rows, schema=MANIFEST))
    labels: list[dict[str, Any]] = [
        {"image_id": one, "boxes": [], "mask": None, "ignored": []} for one in labelled
    ]
    storage.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    pairs = [
        {"group": group[0], "image_id_a": a, "image_id_b": b} for group in near for a, b in pairwise(group)
    ]
    storage.write_table("near_duplicates.parquet", pa.Table.from_pylist(pairs, schema=NEAR_DUPLICATES))
    phashes = [{"image_id": one, "phash": phash} for one, phash in (hashes or {}).items()]
    storage.write_table("hashes.parquet", pa.Table.from_pylist(phashes, schema=HASHES))
    return CorpusTables(storage)


TRAIN = ("train", "train")
FREE = ("unlabelled", "train")


def test_labelled_held_out_and_their_like_are_left_out(tmp_path: Path) -> None:
    images = {
        **dict.fromkeys("abcdefg", FREE),
        "l": TRAIN,
        "t": ("test", "train"),
        "r": ("unlabelled", "reference"),
    }
    corpus = tables(tmp_path, images, labelled="lt", near=("abl", "ct", "dr", "ef"))
    found = candidates(corpus, frozenset(images) - {"g"}, None, 64)
    assert found.groups == {"e": "e", "f": "e"}
    assert found.known == {"l", "r"}
    assert found.left_out == {
        "held out": 1,
        "labelled": 1,
        "near-duplicates of held-out images": 1,
        "near-duplicates of labelled images or references": 3,
        "normal references": 1,
        "without a map or an embedding (unreadable)": 1,
    }


def test_a_group_that_touches_the_held_out_half_is_told_so(tmp_path: Path) -> None:
    images = {"a": FREE, "l": TRAIN, "t": ("test", "train")}
    found = candidates(tables(tmp_path, images, "lt", ("alt",)), frozenset("alt"), None, 64)
    assert not found.groups
    assert found.left_out["near-duplicates of held-out images"] == 1


@pytest.mark.parametrize("bits", [0, 64, 65])
def test_labels_elsewhere_count_by_content_and_by_hash(tmp_path: Path, bits: int) -> None:
    code = {"a": f"{0:064x}", "b": f"{2**bits - 1:064x}", "c": "f" * 64, "d": "f0" * 32}
    corpus = tables(tmp_path / "c", dict.fromkeys("abcd", FREE), hashes=code)
    elsewhere = tables(
        tmp_path / "l",
        {"x": TRAIN, "d": ("test", "train")},
        labelled="xd",
        hashes={"x": code["a"], "d": code["d"]},
    )
    found = candidates(corpus, frozenset("abcd"), elsewhere, 64)
    assert set(found.groups) == ({"b", "c"} if bits > 64 else {"c"})
    assert found.left_out["held out"] == 1
