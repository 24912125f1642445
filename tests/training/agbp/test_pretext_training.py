"""Every backbone family learns every pretext task, distilled, on generated surfaces."""

import cv2
import numpy as np
import pytest
import torch

from pipelines.surfaces.generator import generate
from training.agbp.data import PretrainImages
from training.agbp.pretext.building import pretext_names
from training.agbp.section import BackboneSection
from training.agbp.task import AgbpTask
from training.loop.loop import train
from training.models.backbones.base import build

SIZE, GRID, IMAGES = 64, 8, 14
# Name → rate of the first AdamW step, which moves every weight by so much.
FAMILIES = {
    "yolov8n": 3e-4,
    "yolo11n": 3e-4,
    "yolo12n": 3e-4,
    "yolo26n": 3e-4,
    "resnet18": 3e-4,
    "convnext_atto": 1e-4,
    "swin_tiny_patch4_window7_224": 3e-5,
}


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> PretrainImages:
    """Defective surfaces of two categories; their masks, softened, are the maps."""
    folder = tmp_path_factory.mktemp("surfaces")
    names = ("steel_sheet", "steel_strip")
    uris, maps = [], []
    for index in range(IMAGES):
        sample = generate(0, index, size=SIZE, category=names[index % 2], defect_share=1.0)
        uris.append(str(folder / f"{index}.png"))
        cv2.imwrite(uris[-1], sample.image[..., ::-1])
        small = cv2.resize(sample.mask.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
        maps.append(0.1 + small)
    return PretrainImages(
        image_ids=tuple(str(index) for index in range(IMAGES)),
        uris=tuple(uris),
        categories=np.arange(IMAGES) % 2,
        names=names,
        maps=np.stack(maps).astype(np.float16),
    )


@pytest.mark.slow
@pytest.mark.parametrize("pretext", pretext_names())
@pytest.mark.parametrize("name", FAMILIES)
def test_two_epochs_lower_the_loss(surfaces: PretrainImages, name: str, pretext: str) -> None:
    section = BackboneSection.model_validate(
        {
            "name": name,
            "pretext": pretext,
            "image_size": SIZE,
            "moco": {"hidden": 64, "embedding": 16},
            # The same images in one batch twice: but for hidden patches and dropped paths, nothing else than
            # the step between makes the second epoch's loss lower.
            "augment": {"min_crop": 1, "aspect": 1, "flip": 0, "brightness": 0, "contrast": 0},
            "loop": {
                "epochs": 2,
                "batch_size": 13,
                "optimizer": "adamw",
                "lr": FAMILIES[name],
                "warmup_epochs": 0,
                "schedule": "constant",
                "eval_every": 2,
                "eval_at_start": False,
            },
        }
    )
    torch.manual_seed(0)
    task = AgbpTask(section, build(name), surfaces, seed=0)
    trained = train(task, section.loop, device=torch.device("cpu"), on_epoch=lambda report: None)
    first, second = trained.history
    assert second["loss"] < first["loss"]
    lam = task.state()["lam"]
    assert lam > 0
    assert first["loss"] == pytest.approx(first["loss_task"] + lam * first["loss_attention"], rel=1e-4)
    assert lam == pytest.approx(
        1.0 if pretext == "none" else first["loss_task"] / first["loss_attention"], rel=1e-4
    )
    assert {"similarity", "correlation"} < second.keys()
