"""Rows of trained rivals: not run without a head, nor on images that it was trained on; else the method's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.storage.storage import Storage
from pipelines.encoder.blocks import chosen_blocks
from pipelines.heads.features import patch_identity, stage_widths
from pipelines.heads.file import HEAD_FILE, HeadRecord, save_head
from pipelines.heads.network import StageLinears
from pipelines.maps.section import MapsSection
from tests.pipelines.tiny_encoder import tiny_encoder
from tuning.table4.labelled_set import LabelledImage, LabelledSet
from tuning.table4.measuring import MethodRow, measure
from tuning.table4.plan import planned_rows

cv2 = pytest.importorskip("cv2")


def labelled_set(folder: Path) -> LabelledSet:
    """Six rails, every second with a dark square; two more are references."""
    rng = np.random.default_rng(0)
    images, references = [], []
    for number in range(8):
        pixels = rng.integers(120, 160, (40, 40, 3), dtype=np.uint8)
        defective = number < 6 and number % 2 == 1
        pixels[10:22, 5:20] //= 1 + 4 * defective
        path = str(folder / f"{number}.png")
        cv2.imwrite(path, pixels)
        if number < 6:
            images.append(LabelledImage(path, "rail", defective, None, 40, 40, image_id=f"id{number}"))
        else:
            references.append(path)
    return LabelledSet(tuple(images), {"rail": tuple(references)})


def head_file(folder: Path, images: frozenset[str]) -> str:
    encoder = tiny_encoder()
    layers = chosen_blocks(encoder.visual, None)
    torch.manual_seed(0)
    head = StageLinears(*stage_widths(encoder, len(layers)))
    record = HeadRecord(
        method="aprilgan", features=patch_identity(encoder, layers, 0.01), lineage={}, images=images
    )
    save_head(Storage.open(str(folder)), HEAD_FILE, head.state_dict(), record)
    return str(folder / HEAD_FILE)


def test_a_plan_says_which_rows_lack_what() -> None:
    plain = MapsSection.model_validate({"aprilgan": {"head": "/somewhere/head.safetensors", "shots": 0}})
    rows = {(row["model"], row["mode"]): row["not_run"] for row in planned_rows(plain)}
    assert len(planned_rows(plain)) == 14
    assert rows["April-GAN", "zero"] is rows["WinCLIP", "few"] is rows["KeAD", "few"] is None
    assert rows["April-GAN", "few"] == "maps.aprilgan.shots is 0"
    assert "agssp train maps --method anomalyclip" in rows["AnomalyCLIP", "zero"]
    assert "agssp train maps --method aaclip" in rows["AA-CLIP", "zero"]


def test_a_trained_row_is_run_with_its_head_and_not_on_its_own_images(tmp_path: Path) -> None:
    labelled = labelled_set(tmp_path)
    row = MethodRow("April-GAN", "few")
    bare = MapsSection.model_validate({"aprilgan": {"shots": 2}})
    without = measure(row, bare, tiny_encoder(), labelled)
    assert without.not_run is not None
    assert "give the file that it names as maps.aprilgan.head" in without.not_run
    told = {}
    for name, seen in {"others": frozenset({"x"}), "its own": frozenset({"x", "id1", "id2"})}.items():
        options = {"shots": 2, "head": head_file(tmp_path, seen)}
        section = MapsSection.model_validate({"aprilgan": options})
        told[name] = measure(row, section, tiny_encoder(), labelled)
    assert told["others"].not_run is None
    assert told["others"].shots == 2
    assert told["others"].image_auroc is not None
    assert told["its own"].not_run == (
        "its head was trained on the labels of 2 of these images; train it on others"
    )
    assert told["its own"].image_auroc is None
