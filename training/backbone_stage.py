"""The backbone stage: AGBP on Ray Train, from the corpus and its anomaly maps."""

import copy
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import torch

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from training.agbp import (
    START_FILE,
    BackboneSection,
    PretrainPlan,
    backbone_weights,
    build_pretrain_task,
)
from training.attention_pictures import attention_sheet
from training.backbones import SCRATCH, Backbone, build, load_start
from training.fit import FitResult, fit
from training.loop import Row
from training.pretrain_data import (
    PretrainDataset,
    PretrainImages,
    held_out_count,
    read_masks,
    read_pretrain_images,
)
from training.scaling import ScalingSection
from training.weights import save_weights

WEIGHTS_FILE = "backbone.safetensors"
HISTORY_FILE = "history.parquet"
ATTENTION_FILE = "attention.png"
TRAINING = "training"


def pretrain_backbone(
    section: BackboneSection,
    *,
    scaling: ScalingSection,
    workspace: Storage,
    pipeline: PipelineRun,
    corpus: Artifact,
    maps: Artifact,
) -> Artifact:
    """Pretrain a backbone on every image outside the test split, drawn to its anomaly maps.

    Writes `backbone.safetensors` (the library's keys; metadata: architecture, preprocessing, lineage),
    `history.parquet`, `attention.png` (see `attention_sheet`) and, with `keep_best` above 1,
    `kept/epoch-N.safetensors` and `kept/last.safetensors`.

    Args:
        section: the config.
        scaling: workers; decides no result.
        workspace, pipeline: where the artifact and the tracking run go.
        corpus, maps: the stages' artifacts.

    Raises:
        UserError: the start can't be used, too few images, or nothing to learn.
    """

    digest_of_start = start_digest(section.start)

    def body(bench: Workbench) -> Mapping[str, Any]:
        seed = section.loop.seed or 0
        images = read_pretrain_images(corpus.directory, maps.directory)
        _check_task(section, images)
        backbone = _start(section, seed)
        lineage = {"corpus": corpus.fingerprint, "maps": maps.fingerprint, "start": digest_of_start}
        _save(backbone, section, bench.directory, START_FILE, lineage)
        result = fit(
            build_pretrain_task,
            {"plan": PretrainPlan(section, corpus.directory, maps.directory, bench.directory, seed)},
            section.loop,
            name=TRAINING,
            directory=bench.directory,
            scaling=scaling,
            run=bench.run,
            title="backbone: learning where anomalies are",
        )
        before = copy.deepcopy(backbone)
        for kept in result.kept if section.loop.keep_best > 1 else ():
            backbone_weights(kept.weights, backbone)
            name = "last" if kept.value is None else f"epoch-{kept.epoch}"
            _save(backbone, section, bench.directory, f"kept/{name}.safetensors", lineage)
        backbone_weights(result.state_dict, backbone)
        _save(backbone, section, bench.directory, WEIGHTS_FILE, lineage)
        _draw(section, before, backbone, images, corpus.directory, bench)
        bench.directory.write_table(HISTORY_FILE, result.table())
        with bench.directory.local_copy(WEIGHTS_FILE) as path:
            bench.run.log_file(path, "weights")
        bench.directory.delete(TRAINING)  # checkpoints serve a resumed training only
        return {
            "start": section.start,
            "images": len(images) - held_out_count(len(images)),
            "held_out_images": held_out_count(len(images)),
            "categories": len(images.names),
            **pretrain_results(result),
        }

    return ensure(
        "backbone",
        workspace=workspace,
        pipeline=pipeline,
        config=section.model_dump(mode="json", exclude={"start"}),  # its content decides, not its path
        inputs={"corpus": corpus, "maps": maps},
        extra={"start": digest_of_start},
        body=body,
    )


def _draw(
    section: BackboneSection,
    before: Backbone,
    after: Backbone,
    images: PretrainImages,
    corpus: Storage,
    bench: Workbench,
) -> None:
    """Leave the attention of both over some held-out images, in the artifact and in tracking."""
    count = held_out_count(len(images))
    held_out = PretrainDataset(images, range(count), section.image_size, None, section.loop.seed or 0)
    masks = read_masks(corpus, images.image_ids[:count], section.image_size)
    distilled = section.distilled(len(after.stages))
    sheet = attention_sheet(before, after, held_out, masks, distilled)
    _, encoded = cv2.imencode(".png", sheet[..., ::-1])
    bench.directory.write(ATTENTION_FILE, encoded.tobytes())
    bench.run.log_picture(sheet, ATTENTION_FILE)


def start_digest(start: str) -> str:
    """Sha256 of a start's file, or `scratch`.

    Raises:
        UserError: there is no such file.
    """
    if start == SCRATCH:
        return SCRATCH
    path = Path(start).expanduser()
    if not path.is_file():
        raise UserError(f"backbone.start={start} is not a file; give a .safetensors file or {SCRATCH}.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pretrain_results(result: FitResult) -> dict[str, Any]:
    """The figures of a pretraining: losses at the end, attention before and after, λ, speed."""
    trained = [row for row in result.history if "loss" in row]
    measured = [row for row in result.history if "similarity" in row]
    last = trained[-1]
    return {
        "epochs": int(last["epoch"]),
        **{name: value for name, value in last.items() if name.startswith("loss")},
        "lam": result.task_state["lam"],
        "similarity": measured[-1]["similarity"],
        "correlation": measured[-1]["correlation"],
        "attention_before": _attention(measured[0]) if measured[0]["epoch"] == 0 else None,
        "attention_after": _attention(measured[-1]),
        "images_per_s": sum(row["images_per_s"] for row in trained) / len(trained),
        "training_seconds": round(result.seconds, 3),
    }


def _attention(row: Row) -> Row:
    return {
        name: value for name, value in row.items() if name.startswith(("similarity", "correlation", "auroc"))
    }


def _check_task(section: BackboneSection, images: PretrainImages) -> None:
    """Say, or refuse, what a single category means."""
    if section.pretext != "cls" or len(images.names) > 1:
        return
    only = f'all images are of one category, "{images.names[0]}"'
    if section.lam == 0:
        raise UserError(
            f"There is nothing to learn: {only}, and backbone.lam=0 turns distillation off; set it to auto."
        )
    lam = "; λ = 1" if section.lam == "auto" else ""
    say(f"backbone: {only}: nothing to classify, so the anomaly maps alone teach{lam}")


def _start(section: BackboneSection, seed: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = build(section.name)
    if section.start != SCRATCH:
        report = load_start(backbone, Path(section.start).expanduser())
        say(f"backbone: start {section.start} fills {report.summary()}")
    return backbone


def _save(
    backbone: Backbone, section: BackboneSection, directory: Storage, name: str, lineage: Mapping[str, str]
) -> None:
    metadata = {
        "kind": "backbone",
        "architecture": section.name,
        "preprocessing": {
            "size": section.image_size,
            "resize": "square",
            "mean": list(backbone.mean),
            "std": list(backbone.std),
        },
        "lineage": dict(lineage),
    }
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / name
        save_weights(local, backbone.library_state_dict(), metadata)
        directory.put(local, name)
