"""A corpus and its inspections against plain loops over rows, for random images."""

import hashlib
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings, strategies as st

from pipelines.annotations import encode_mask
from pipelines.corpus.inspected import INSPECTED
from pipelines.corpus.joining import JOINED, joined
from pipelines.corpus.named_references import ReferenceCandidates
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.sorting import Corpus
from pipelines.tables import LISTED

Rows = list[dict[str, Any]]
BOX = {"x0": 0.0, "y0": 1.0, "x1": 2.0, "y1": 3.0, "label": "dent"}
EMPTY_MASK = encode_mask(np.zeros((10, 10), np.bool_))
RNG = np.random.default_rng(0)
HASHES = [RNG.bytes(32) for _ in range(3)]  # some 128 bits from each other
NEAR = [bytes([HASHES[0][0] ^ 0b111, *HASHES[0][1:]])]  # 3 bits from the first
SOON = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking a failure would take minutes
FAULT = {"file": "f.txt", "line": 1, "reason": "r", "action": "used"}

image = st.fixed_dictionaries(
    {
        "content": st.integers(0, 9),
        "category": st.sampled_from(["rail", "bolt"]),
        "normal": st.booleans(),
        "labelled": st.booleans(),
        "boxes": st.lists(st.just(BOX), max_size=2),
        "ignored": st.lists(st.just(BOX), max_size=1),
        "mask": st.sampled_from([None, EMPTY_MASK]),
        "error": st.sampled_from([None, None, None, "torn"]),
        "faults": st.lists(st.just(FAULT), max_size=1),
    }
)


def images_of(drawn: Rows) -> Rows:
    """Rows of `JOINED`; images of one content have one hash."""
    rows = []
    for number, one in enumerate(drawn):
        content = one.pop("content")
        path = f"{(7 * number) % 11}-{number}.png"
        phash = [*HASHES, *NEAR][content % 4].hex()
        image_id = hashlib.sha256(str(content).encode()).hexdigest()[:32]
        about = {"uri": f"/data/{path}", "path": path, "fault": None, "levels": None}
        looks = {"width": 10, "height": 10, "grey_mean": float(content), "grey_deviation": 1.0}
        rows.append({**about, **one, "image_id": image_id, "phash": phash, **looks})
    return rows


def bits(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def near_groups(unique: dict[str, dict[str, Any]], limit: int) -> list[list[str]]:
    groups: list[list[str]] = []
    for one in sorted(unique):
        own = unique[one]["phash"]
        near = [group for group in groups if any(bits(own, unique[m]["phash"]) <= limit for m in group)]
        groups = [group for group in groups if group not in near]
        groups.append(sorted([one, *(member for group in near for member in group)]))
    return sorted(groups)


def reference(rows: Rows, test: set[str] | None, references: dict[str, int], share: float) -> dict[str, Any]:
    """Manifest, labels, duplicates, quarantine and faults by the words of the documentation."""
    rows = [dict(row) for row in rows]
    doubts = []
    against: dict[str, str] = {}
    for row in rows:
        if row["error"] or row["boxes"] or (row["labelled"] and not row["normal"]):
            against.setdefault(row["image_id"], row["uri"])
    for row in rows:
        if row["normal"] and not row["error"] and row["image_id"] in against:
            row["normal"] = row["labelled"] = False
            doubts.append((row["uri"], against[row["image_id"]]))
    rows.sort(key=lambda row: (row["uri"] not in (test or ()), not row["labelled"], row["uri"]))
    good = [row for row in rows if not row["error"]]
    unique: dict[str, dict[str, Any]] = {}
    duplicates = []
    for row in good:
        if row["image_id"] in unique:
            duplicates.append((row["uri"], unique[row["image_id"]]["uri"]))
        unique.setdefault(row["image_id"], row)
    chosen: set[str] = set()
    for category, most in references.items():
        usable = {row["image_id"] for row in good if row["category"] == category and row["normal"]}
        chosen |= set(sorted(usable)[:most])
    empty = {
        i
        for i, row in unique.items()
        if row["labelled"] and not row["normal"] and not (row["boxes"] or row["ignored"])
    }
    labelled = {i for i, row in unique.items() if row["labelled"]} - empty
    groups = near_groups(unique, 64)
    held_out: set[str] = set()
    for group in groups:
        if test is None and set(group) <= labelled - chosen:
            speaker = min(group, key=lambda one: hashlib.sha256(one.encode()).digest())
            held_out |= set(group) if int(speaker[:12], 16) < share * 16**12 else set()
    if test is not None:
        held_out = {one for one in labelled if unique[one]["uri"] in test}
    split = {i: "test" if i in held_out else "train" if i in labelled else "unlabelled" for i in unique}
    roles = {i: "reference" if i in chosen else "train" for i in unique}
    beside: dict[str, str] = {}
    for group in groups:
        tested = [one for one in group if one in held_out]
        beside |= {one: tested[0] for one in group if tested and one not in tested}
    return {
        "manifest": [(i, unique[i]["uri"], split[i], roles[i]) for i in sorted(unique)],
        "labels": sorted(labelled),
        "duplicates": duplicates,
        "quarantine": [(row["uri"], row["error"]) for row in rows if row["error"]],
        "faults": Counter(["f.txt"] * sum(len(row["faults"]) for row in rows)),
        "doubts": sorted(doubts),
        "groups": [group for group in groups if len(group) > 1],
        "empty": len(empty),
        "beside": beside,
    }


@pytest.mark.slow
@given(st.lists(image, max_size=14), st.sampled_from([None, 1, 2, 3]), st.booleans(), st.floats(0, 0.9))
@settings(max_examples=15, deadline=None, phases=SOON)
def test_a_corpus_against_loops(drawn: Rows, every: int | None, apart: bool, share: float) -> None:
    rows = images_of(drawn)
    test = None if every is None else {row["uri"] for row in rows[::every]}
    section = CorpusSection(root="/data", test_share=share, near_duplicate_distance=64)
    named = defaultdict(list)
    for row in rows:
        named[row["category"]].append(row["uri"])
    candidates = {
        name: ReferenceCandidates(pa.array(uris, pa.large_string()), 2) for name, uris in named.items()
    }
    pieces = [rows[start : start + 3] for start in range(0, len(rows), 3)]
    parts = [pa.Table.from_pylist(piece, schema=JOINED) for piece in pieces]
    table = pa.concat_tables([JOINED.empty_table(), *parts])
    corpus = Corpus(table, section, candidates, test, apart=apart)
    wanted = reference(rows, test, dict.fromkeys(named, 2), share)
    tables = {name: made.to_pylist() for name, made in corpus.tables().items()}
    left_out = wanted["beside"] if apart else {}
    kept = [row for row in wanted["manifest"] if row[0] not in left_out]
    assert [(r["image_id"], r["uri"], r["split"], r["role"]) for r in tables["manifest"]] == kept
    assert [row["image_id"] for row in tables["hashes"]] == [row[0] for row in kept]
    assert [row["image_id"] for row in tables["labels"]] == [i for i in wanted["labels"] if i not in left_out]
    assert [(row["uri"], row["first"]) for row in tables["duplicates"]] == wanted["duplicates"]
    assert [(r["uri"], r["reason"]) for r in corpus.quarantine.to_pylist()] == wanted["quarantine"]
    told = [row for row in corpus.bad_labels if row["file"] == "f.txt"]
    assert Counter(row["file"] for row in told) == wanted["faults"]
    doubts = [(row["file"], row["reason"].rsplit(" ", 1)[1]) for row in corpus.bad_labels if row not in told]
    assert sorted(doubts) == wanted["doubts"]
    assert corpus.empty_masks == wanted["empty"]
    links = [(row["image_id_a"], row["image_id_b"], row["group"]) for row in tables["near_duplicates"]]
    for group in wanted["groups"]:
        own = [(a, b) for a, b, name in links if name == group[0]]
        assert len(own) == len(group) - 1
        assert {one for pair in own for one in pair} == set(group)
    assert len(links) == sum(len(group) - 1 for group in wanted["groups"])
    if apart:
        uris = {row[0]: row[1] for row in wanted["manifest"]}
        reasons = {row["uri"]: row["reason"] for row in tables["left_out"]}
        assert reasons == {
            uris[one]: f"near-duplicate of {uris[other]}, which is held out"
            for one, other in left_out.items()
        }
    assert corpus.counts()["images"] == len(kept)
    assert [row["split"] for row in corpus.manifest] == [row[2] for row in kept]
    assert {row["image_id"] for row in corpus.sample(40, ["rail", "bolt"])} == {row[0] for row in kept}


listed: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "fault": st.sampled_from([None, None, "twice"]),
        "note": st.sampled_from([None, {"files": ["a.png"]}, {"files": []}]),
        "empty_is_normal": st.booleans(),
        "normal": st.booleans(),
        "boxes": st.lists(st.just(BOX), max_size=1),
        "mask": st.sampled_from([None, EMPTY_MASK]),
        "empty": st.booleans(),
        "error": st.sampled_from([None, None, "torn"]),
        "faults": st.lists(st.just(FAULT), max_size=1),
    }
)


@given(st.lists(listed, max_size=9), st.integers(1, 4))
@settings(max_examples=25, deadline=None, phases=SOON)
def test_a_listing_joined_against_a_loop(drawn: Rows, size: int) -> None:
    listing: Rows = []
    read: Rows = []
    wanted: list[tuple[Any, ...]] = []
    for number, one in enumerate(drawn):
        uri, annotated = f"/data/{number}.png", one["note"] is not None
        note = {"format": "yolo", "content": "", **(one["note"] or {})}
        note["empty_is_normal"] = one["empty_is_normal"]
        about = {"uri": uri, "path": f"{number}.png", "category": "rail", "labelled": annotated}
        about |= {"normal": one["normal"], "fault": one["fault"]}
        listing.append({**about, "annotation": note if annotated else None})
        looks = {"image_id": f"{number:032x}", "width": 10, "height": 10, "phash": "0" * 64}
        truth = {name: one[name] for name in ("boxes", "mask", "empty", "error", "faults")} | {"ignored": []}
        if one["fault"] is not None:
            read.append(dict.fromkeys(INSPECTED.names))
            wanted.append((one["normal"], "twice", [], ["twice"]))
            continue
        read.append({**looks, **truth})
        reasons, normal = [fault["reason"] for fault in one["faults"]], one["normal"]
        if annotated and one["error"] is None:
            normal = normal or (one["empty"] and one["empty_is_normal"])
            if not normal and not one["boxes"]:
                reasons += ["it marks no defect"] * max(1, len(note["files"]))
        wanted.append((normal, one["error"], one["boxes"], reasons))
    table = pa.Table.from_pylist(listing, schema=LISTED)
    found = joined(table.to_batches(size), pa.Table.from_pylist(read, schema=INSPECTED)).to_pylist()
    assert [row["uri"] for row in found] == [row["uri"] for row in listing]
    assert [(row["normal"], row["error"], row["boxes"]) for row in found] == [row[:3] for row in wanted]
    assert [[f["reason"].split(",")[0].split(": ")[-1] for f in row["faults"]] for row in found] == [
        row[3] for row in wanted
    ]
