"""AGBP on synthetic surfaces: attention moves onto the maps, and the test split stays unseen."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.annotations.rle import encode_mask
from training.agbp.data import PretrainDataset, held_out_count, read_pretrain_images
from training.agbp.section import BackboneSection
from training.agbp.task import PretrainPlan, backbone_weights, build_pretrain_task
from training.loop.files import START_FILE
from training.loop.loop import train
from training.loop.section import LoopSettings
from training.models.backbones.base import build
from training.weights.files import save_weights

GRID = 7


def write_corpus(folder: Path, images: int, categories: tuple[str, ...] = ("tile", "strip")) -> Storage:
    """Grey images with one dark spot each, maps that are high there; every fifth in the test split."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    maps = np.zeros((images, GRID, GRID), dtype=np.float16)
    (folder / "images").mkdir(parents=True)
    for index in range(images):
        image = rng.normal(150, 8, (70, 70, 3)).clip(0, 255).astype(np.uint8)
        row, column = rng.integers(0, GRID - 1, 2)
        image[row * 10 : row * 10 + 20, column * 10 : column * 10 + 20] = 20
        maps[index] = 0.02
        maps[index, row : row + 2, column : column + 2] = 1.0
        mask = np.zeros((70, 70), dtype=np.bool_)
        mask[row * 10 : row * 10 + 20, column * 10 : column * 10 + 20] = True
        labels.append({"image_id": f"id{index:03d}", "mask": encode_mask(mask)})
        uri = str(folder / "images" / f"{index}.png")
        cv2.imwrite(uri, image)
        rows.append(
            {
                "image_id": f"id{index:03d}",
                "uri": uri,
                "category": categories[index % len(categories)],
                "split": "test" if index % 5 == 0 else "train",
                "width": 70,
                "height": 70,
            }
        )
    storage = Storage.open(str(folder))
    table = pa.Table.from_pylist(rows)
    storage.write_table("manifest/part-0.parquet", table)
    storage.write_table("labels.parquet", pa.Table.from_pylist(labels))
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(maps)
    storage.write_table("maps/part-0.parquet", table.drop_columns(["split"]).append_column("map", tensor))
    return storage


def plan(storage: Storage, **changes: Any) -> PretrainPlan:
    loop = {"epochs": 14, "batch_size": 8, "lr": 0.1, "warmup_epochs": 1}
    values: dict[str, Any] = {"image_size": 96, "loop": loop}
    section = BackboneSection.model_validate(values | changes)
    torch.manual_seed(0)
    save_weights(Path(storage.path) / START_FILE, build(section.name).library_state_dict(), {})
    return PretrainPlan(section, storage, storage, storage, seed=0)


def test_attention_moves_onto_the_maps(tmp_path: Path) -> None:
    chosen = plan(write_corpus(tmp_path, 60))
    task = build_pretrain_task(chosen)
    trained = train(task, chosen.section.loop, device=torch.device("cpu"), on_epoch=lambda report: None)
    before, after = trained.history[0], trained.history[-1]
    assert before["epoch"] == 0
    # Even attention has a correlation of 0: these images were never trained on, so it found their spots.
    assert after["similarity"] > before["similarity"] + 0.3
    assert after["correlation"] > 0.4
    assert after["auroc"] > before["auroc"] + 0.2
    assert after["auroc"] > 0.85
    assert after["loss_attention"] < trained.history[1]["loss_attention"]
    assert task.state()["lam"] > 0
    first = trained.history[1]
    lam = task.state()["lam"]
    assert first["loss"] == pytest.approx(first["loss_task"] + lam * first["loss_attention"], rel=1e-4)
    backbone = build("yolov8n")
    weights = backbone_weights(trained.weights, backbone)
    assert weights.keys() == build("yolov8n").library_state_dict().keys()
    key = "model.9.cv2.conv.weight"
    assert torch.equal(weights[key], trained.weights[f"backbone.{key}"])


def test_one_category_trains_on_maps_alone(tmp_path: Path) -> None:
    chosen = plan(write_corpus(tmp_path, 20, ("tile",)), freeze_stages=2)
    task = build_pretrain_task(chosen)
    batch = task.collate([task.dataset[index] for index in range(4)])
    loss, parts = task.loss(task.model, batch)
    assert parts["task"].item() == 0
    assert task.state() == {"lam": 1.0}
    assert loss.item() == pytest.approx(parts["attention"].item())
    frozen = [p.requires_grad for p in task.model.get_submodule("backbone.model.4").parameters()]
    assert not any(frozen)


def test_the_test_split_is_never_read_and_held_out_is_apart(tmp_path: Path) -> None:
    storage = write_corpus(tmp_path, 60)
    images = read_pretrain_images(storage, storage)
    assert len(images) == 48
    assert not {f"id{index:03d}" for index in range(0, 60, 5)} & set(images.image_ids)
    assert images.names == ("strip", "tile")
    task = build_pretrain_task(plan(storage))
    held = [images.image_ids[index] for index in task.held_out.indices]
    assert len(held) == 4
    learnt = {images.image_ids[at] for at in task.held_out.indices} & {
        task.dataset[index]["image_id"] for index in range(len(task.dataset))
    }
    assert not learnt
    assert [held_out_count(count) for count in (2, 9, 50, 10_000)] == [1, 1, 5, 64]
    # Maps belong to their images, whatever the order of either table.
    for index in range(5):
        number = int(images.image_ids[index][2:])
        assert images.uris[index].endswith(f"/{number}.png")
        picture = cv2.imread(images.uris[index])
        row, column = np.unravel_index(images.maps[index].argmax(), (GRID, GRID))
        assert picture is not None
        assert picture[row * 10 + 5, column * 10 + 5].max() == 20


def test_items_depend_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    storage = write_corpus(tmp_path, 12)
    images = read_pretrain_images(storage, storage)
    augment = BackboneSection().augment
    one, two = (PretrainDataset(images, range(9), 64, augment, seed=1) for _ in range(2))
    one.set_epoch(3)
    two.set_epoch(3)
    _ = [one[index] for index in (5, 2, 0)]
    assert torch.equal(one[4]["images"], two[4]["images"])
    assert torch.equal(one[4]["maps"], two[4]["maps"])
    two.set_epoch(4)
    assert not torch.equal(one[4]["images"], two[4]["images"])


def test_faults_of_the_user_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match='There is no backbone "yolov9"; did you mean'):
        BackboneSection(name="yolov9")
    with pytest.raises(ValidationError, match="multiple of 32"):
        BackboneSection(image_size=100)
    storage = write_corpus(tmp_path / "few", 2)
    with pytest.raises(UserError, match="has 1 images with anomaly maps outside its test split"):
        read_pretrain_images(storage, storage)
    storage = write_corpus(tmp_path / "lost", 12)
    images = read_pretrain_images(storage, storage)
    Path(images.uris[3]).unlink()
    with pytest.raises(UserError, match=r"Image .*png can't be read any more \(file is missing\)"):
        PretrainDataset(images, range(9), 64, None, seed=0)[3]
    with pytest.raises(UserError, match=r"distilled_stages=5 doesn't fit yolov8n, which has 4 stages"):
        build_pretrain_task(plan(write_corpus(tmp_path / "many", 12), distilled_stages=5))


def test_overriding_one_loop_setting_keeps_the_stages_defaults() -> None:
    section = BackboneSection.model_validate({"loop": {"epochs": 3}})
    assert section.loop.epochs == 3
    assert section.loop.eval_at_start
    assert section.loop.seeded(5).seed == 5
    assert isinstance(section.loop.seeded(5), LoopSettings)
    assert (BackboneSection().frozen_stages, BackboneSection(start="w.safetensors").frozen_stages) == (0, 2)
