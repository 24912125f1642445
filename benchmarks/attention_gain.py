"""What distillation gains: YOLOv8n's attention over true defects it never learnt from, from scratch."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.generated_corpus import generated_corpus
from benchmarks.registry import Row, at_least
from cluster.on_ray import machine_cpus
from training.agbp import AgbpTask, BackboneSection, PretrainImages
from training.loop import train
from training.models.backbones import build

SIZE, CATEGORIES, PER_CATEGORY, EPOCHS = 96, 5, 60, 12


def run() -> Iterator[Row]:
    """Held-out pixel AUROC of the last two stages with distillation from KeAD's maps, and without."""
    torch.set_num_threads(machine_cpus())
    with tempfile.TemporaryDirectory() as folder:
        corpus = generated_corpus(Path(folder), categories=CATEGORIES, per_category=PER_CATEGORY, size=SIZE)
        start, distilled = attention_auroc(*corpus, lam="auto")
        _, alone = attention_auroc(*corpus, lam=0.0)
    yield Row("attention's pixel AUROC before training", start)
    yield Row("after the pretext task alone (cls)", alone)
    yield Row("after AGBP (cls, distilled)", distilled)
    yield at_least("gain of distillation", distilled - alone, 0.15)


def attention_auroc(
    images: PretrainImages, masks: dict[str, npt.NDArray[np.bool_]], lam: str | float
) -> tuple[float, float]:
    """Held-out pixel AUROC, mean of the last two stages, before and after a training."""
    section = BackboneSection.model_validate(
        {
            "image_size": SIZE,
            "lam": lam,
            "loop": {
                "epochs": EPOCHS,
                "batch_size": 16,
                "optimizer": "adamw",
                "lr": 2e-3,
                "warmup_epochs": 1,
                "eval_every": EPOCHS,
            },
        }
    )
    torch.manual_seed(0)
    task = AgbpTask(section, build("yolov8n"), images, 0, masks)
    trained = train(task, section.loop, device=torch.device("cpu"), on_epoch=lambda report: None)
    return trained.history[0]["auroc"], trained.history[-1]["auroc"]
