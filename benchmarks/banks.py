"""The benchmark `banks`: maps of today's bank beside ImageNet features' and mutual scoring, on real sets."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.box_rules.choice import IOU, chosen, f1, quality, settings_of
from benchmarks.box_rules.labelled_maps import SEED, LabelledMaps, workspace
from benchmarks.registry import SHARED_DATA, Row, at_least
from cluster.config import validate
from cluster.errors import UserError
from cluster.progress import say
from cluster.storage import Storage
from pipelines.annotations import decode_mask, mask_of_boxes
from pipelines.maps import MapsSection, build_method, decode_rows, image_auroc, pixel_auroc
from pipelines.maps.bank_method import BankMethod
from pipelines.maps.mutual_sample import chosen as judges_of, feature_rows, judged_states, near_pairs
from pipelines.maps.rows import category_states, map_schema, readable_rows
from pipelines.tables import REFERENCE, CorpusTables, box_array
from training.opening import open_pipeline
from training.project import Project

IMAGES, SAMPLE = "AGSSP_BENCH_IMAGES", "AGSSP_BENCH_SAMPLE"  # most images of a set; sample of mutual scoring
SHOTS = {"magnetic_tile": 4, "neu_det": 0}  # no strip of neu_det is normal
WEIGHTS = (0.0, 0.25, 0.5, 0.75)  # of the text
BANKS: Mapping[str, Mapping[str, Any]] = {
    "clip": {},
    "lite0": {"encoder": "efficientnet-lite0"},
    "lite0 mutual": {"encoder": "efficientnet-lite0", "mode": "mutual"},
}
GOALS = {"image": 0.88, "pixel": 0.85, "magnetic_tile": 28, "neu_det": 30}
AT_ONCE = 8
Grid = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Surfaces:
    """A corpus and those of its images that are judged."""

    corpus: Storage
    rows: list[dict[str, Any]]

    @property
    def tables(self) -> CorpusTables:
        return CorpusTables(self.corpus)


@dataclass(frozen=True)
class Parts:
    """What maps of any text weight are made of: s(c) (B,), M_zero and M_bank (B, g, g)."""

    text: Grid
    zero: Grid
    bank: Grid

    def maps(self, weight: float) -> tuple[Grid, Grid]:
        """Scores and maps, as `BankMethod`'s."""
        maps = 2 * (weight * self.zero + (1 - weight) * self.bank)
        return 2 * weight * self.text + maps.max((1, 2)), maps


def run() -> Iterator[Row]:
    """AUROC of images and pixels, and boxes, of the test halves; text weight and boxes chosen on surfaces."""
    most = int(os.environ.get(IMAGES, 10**9))
    for name, shots in SHOTS.items():
        if not (SHARED_DATA / name).is_dir():
            yield Row(f"{name}: banks", None, f"skipped, {SHARED_DATA / name} is absent")
            continue
        root = {"root": str(SHARED_DATA / name), "layout": name, "test_share": 0.5, "reference_count": shots}
        real = surfaces_of({"corpus": root}, "test", most)
        drawn = {"test_share": 0, "reference_count": shots}
        generated = surfaces_of(
            {"generate": {"seed": SEED, "images_per_category": 60}, "corpus": drawn}, "train", most
        )
        for bank, options in BANKS.items():
            if options.get("mode") != "mutual" and not shots:
                continue
            section = section_of(options, shots)
            try:
                learnt, judged = parts_of(section, generated), parts_of(section, real)
            except UserError as fault:
                yield Row(f"{name}, {bank}", None, f"skipped, {fault}")
                continue
            yield from figures(f"{name}, {bank}", name, learnt, generated, judged, real)


def figures(
    what: str, name: str, learnt: Parts, generated: Surfaces, judged: Parts, real: Surfaces
) -> Iterator[Row]:
    """Rows of one bank on one set."""
    weight = max(WEIGHTS, key=lambda each: auroc_of(learnt.maps(each), generated)[1])
    for each in WEIGHTS:
        image, pixel = auroc_of(judged.maps(each), real)
        mark = " (chosen)" if each == weight else ""
        if image is not None:
            yield at_least(f"{what}, text {each:g}{mark}: image AUROC", image, GOALS["image"])
        yield at_least(f"{what}, text {each:g}{mark}: pixel AUROC", pixel, GOALS["pixel"])
    surfaces, labelled = labelled_of(learnt.maps(weight), generated), labelled_of(judged.maps(weight), real)
    ways: dict[str, dict[str, Any]] = {
        f"{rule}, defaults": {} for rule in ("paper", "standardised", "hysteresis")
    }
    ways["standardised, chosen on surfaces"] = chosen("standardised", surfaces, same_scores=False)
    ways["standardised, ceiling: chosen on these labels"] = chosen("standardised", labelled, same_scores=True)
    for way, values in ways.items():
        say(f"{what}, {way}: {values}")
        reached = quality(settings_of(way.partition(",")[0], values), labelled)
        yield Row(f"{what}, {way}: percent of {reached.boxes} boxes right", reached.precision * 100)
        yield Row(f"{what}, {way}: percent of {reached.defects} defects met", reached.recall * 100)
        yield at_least(f"{what}, {way}: F1 at IoU {IOU:g}, percent", f1(reached) * 100, GOALS[name])


def surfaces_of(document: Mapping[str, Any], split: str, most: int) -> Surfaces:
    """The corpus stage's images of a split with known labels; at most `most`, evenly over the manifest."""
    whole = {"name": "banks", "workspace": str(workspace()), **document}
    with open_pipeline(validate(Project, whole, "The benchmark's project"), "banks", "corpus") as pipeline:
        corpus = pipeline.corpus.directory
    labelled = CorpusTables(corpus).boxes()
    rows = [
        dict(row)
        for row in CorpusTables(corpus).manifest()
        if row["split"] == split and row["role"] != REFERENCE and row["image_id"] in labelled
    ]
    return Surfaces(corpus, rows[:: max(1, -(-len(rows) // most))])


def section_of(bank: Mapping[str, Any], shots: int) -> MapsSection:
    """The maps' config; half text, so that all parts are made."""
    halved = {**bank, "text_weight": 0.5, "sample": int(os.environ.get(SAMPLE, 64))} if bank else {}
    return MapsSection.model_validate({"kead": {"shots": shots or 4}, "bank": halved})


def parts_of(section: MapsSection, surfaces: Surfaces) -> Parts:
    """Parts of the maps of all images, by the stage's own functions.

    Raises:
        UserError: weights that are absent.
    """
    method = build_method(section, "cpu")
    tables = surfaces.tables
    references = tables.references() if section.shots else {row["category"]: [] for row in surfaces.rows}
    states = category_states(method, section, references, tables.levels("uri"))
    if section.bank.mode == "mutual":
        assert isinstance(method, BankMethod)
        near, manifest = near_pairs(surfaces.corpus), tables.manifest()
        ids = set(judges_of(manifest, near, section.bank))
        judges = [dict(row) for row in manifest if row["image_id"] in ids]
        with tempfile.TemporaryDirectory() as folder:
            for number, rows in enumerate(batches(judges, method.input_side)):
                pq.write_table(feature_rows(method, rows), Path(folder, f"{number}.parquet"))
            states = judged_states(states, Storage.open(folder), near)
    text, parts = [], []
    for rows in batches(surfaces.rows, method.input_side):
        pixels = torch.from_numpy(rows.column("pixels").combine_chunks().to_numpy_ndarray().copy())
        names = zip(rows.column("category").to_pylist(), rows.column("image_id").to_pylist(), strict=True)
        output = method(pixels, [states[name].judging(image) for name, image in names])
        assert output.parts is not None
        text.append(output.image_text_score)
        parts.append(output.parts)
    stacked = torch.cat(parts).numpy()
    return Parts(torch.cat(text).numpy(), stacked[:, 0], stacked[:, 1])


def batches(rows: Sequence[Mapping[str, Any]], side: int) -> Iterator[pa.Table]:
    """Decoded rows, a few at a time."""
    columns = ("image_id", "uri", "category", "levels")
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        table = {name: [row[name] for row in part] for name in columns}
        levels = pa.array(table.pop("levels"), pa.list_(pa.float64()))
        yield readable_rows(decode_rows(pa.table({**table, "levels": levels}), side))


def auroc_of(scored: tuple[Grid, Grid], surfaces: Surfaces) -> tuple[float | None, float]:
    """AUROC of images (None where all are defective) and of pixels; boxes are filled where no mask is."""
    boxes, masks = surfaces.tables.boxes(), surfaces.tables.masks()
    truth = []
    for row in surfaces.rows:
        mask = np.zeros((row["height"], row["width"]), np.bool_)
        if row["image_id"] in masks:
            mask = decode_mask(masks[row["image_id"]], row["width"], row["height"])
        else:
            mask = mask_of_boxes(box_array(boxes[row["image_id"]]), row["width"], row["height"])
        truth.append(mask)
    defective = [bool(boxes[row["image_id"]]) for row in surfaces.rows]
    image = None if all(defective) else image_auroc(scored[0], defective)
    return image, pixel_auroc(list(scored[1]), truth)


def labelled_of(scored: tuple[Grid, Grid], surfaces: Surfaces) -> LabelledMaps:
    """Rows as the maps stage stores them, with the labelled boxes."""
    scores, maps = scored[0].astype(np.float64), scored[1].astype(np.float16)
    schema = map_schema(maps.shape[-1])
    columns: dict[str, Any] = {
        name: [row[name] for row in surfaces.rows] for name in schema.names if name in surfaces.rows[0]
    }
    columns |= {"score": scores, "map_max": maps.max((1, 2)).astype(np.float64)}
    columns["map"] = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(maps))
    boxes = surfaces.tables.boxes()
    truth = {row["image_id"]: boxes[row["image_id"]] for row in surfaces.rows}
    return LabelledMaps(pa.table([columns[name] for name in schema.names], schema=schema), truth)
