"""The backbone stage: AGBP on Ray Train, from the corpus and its anomaly maps."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import cv2
import torch

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from pipelines.encoder import map_licences
from training.agbp.attention_pictures import attention_sheet
from training.agbp.data import (
    PretrainDataset,
    PretrainImages,
    held_out_count,
    read_masks,
    read_pretrain_images,
)
from training.agbp.section import BackboneSection
from training.agbp.task import PretrainPlan, backbone_weights, build_pretrain_task
from training.loop import FitResult, HistoryRow, TrainingSite, trained
from training.models.backbones import Backbone, build, fill
from training.starts import BACKBONE_FILE, SCRATCH, Start, report_json, resolve_start, save_backbone

ATTENTION_FILE = "attention.png"


def pretrain_backbone(
    section: BackboneSection,
    *,
    site: TrainingSite,
    corpus: Artifact,
    maps: Artifact,
) -> Artifact:
    """Pretrain a backbone on every image outside the test split, drawn to its anomaly maps.

    Writes `backbone.safetensors` (the library's keys; metadata: architecture, preprocessing, lineage; from
    the weights of a whole detector of ultralytics its neck and head too, untouched, for the stages that
    follow), `history.parquet`, `attention.png` (see `attention_sheet`) and, with `keep_best` above 1,
    `kept/epoch-N.safetensors` and `kept/last.safetensors`.

    Args:
        section: the config.
        site: workspace, tracking run and workers.
        corpus, maps: the stages' artifacts.

    Raises:
        UserError: the start can't be used, too few images, or nothing to learn.
    """
    scaling = site.scaling
    start = None
    if section.start != SCRATCH:
        start = resolve_start(section.start, section.name, lambda: site.run.tracker)
    digest_of_start = start.digest if start else SCRATCH

    def body(bench: Workbench) -> Mapping[str, Any]:
        seed = section.loop.resolved_seed
        images = read_pretrain_images(corpus.directory, maps.directory)
        _check_task(section, images)
        backbone, filled = started_backbone(section, start, seed)
        lineage = {"corpus": corpus.fingerprint, "maps": maps.fingerprint, "start": digest_of_start}
        before = copy.deepcopy(backbone)
        result = trained(
            build_pretrain_task,
            PretrainPlan(section, corpus.directory, maps.directory, bench.directory, seed),
            section.loop,
            bench=bench,
            scaling=scaling,
            title="backbone: learning where anomalies are",
            weights_file=BACKBONE_FILE,
            save=partial(
                save_backbone,
                backbone,
                bench.directory,
                image_size=section.image_size,
                lineage=lineage,
                beyond=backbone.beyond(start.state) if start else {},
                licences=(start.licences if start else {}) | map_licences(maps.record),
            ),
            load=lambda weights: backbone_weights(weights, backbone),
            finish=lambda: _draw(section, before, backbone, images, corpus.directory, bench),
        )
        return {
            "start": section.start,
            "images": len(images) - held_out_count(len(images)),
            "held_out_images": held_out_count(len(images)),
            "categories": len(images.names),
            **pretrain_results(result),
            "transfer": filled,
            "load": backbone.loading(BACKBONE_FILE),
        }

    return ensure(
        "backbone",
        site=site,
        config=section.model_dump(mode="json", exclude={"start"}),  # its content counts, not its path
        revision=3,  # neck and head of the start are kept; strips are averaged along their long side
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
    """Draw both backbones' attention on some held-out images, into the artifact and tracking."""
    count = held_out_count(len(images))
    held_out = PretrainDataset(images, range(count), section.image_size, None, section.loop.resolved_seed)
    masks = read_masks(corpus, images.image_ids[:count], section.image_size)
    distilled = section.distilled(len(after.stages))
    sheet = attention_sheet(before, after, held_out, masks, distilled)
    _, encoded = cv2.imencode(".png", sheet[..., ::-1])
    bench.directory.write(ATTENTION_FILE, encoded.tobytes())
    bench.run.log_picture(sheet, ATTENTION_FILE)


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


def _attention(row: HistoryRow) -> HistoryRow:
    return {
        name: value for name, value in row.items() if name.startswith(("similarity", "correlation", "auroc"))
    }


def _check_task(section: BackboneSection, images: PretrainImages) -> None:
    """Say what a single category means, or refuse it."""
    if section.pretext != "cls" or len(images.names) > 1:
        return
    only = f'all images are of one category, "{images.names[0]}"'
    if section.lam == 0:
        raise UserError(
            f"There is nothing to learn: {only}, and backbone.lam=0 turns distillation off; set it to auto."
        )
    lam = "; λ = 1" if section.lam == "auto" else ""
    say(f"backbone: {only}: nothing to classify, so the anomaly maps alone teach{lam}")


def started_backbone(
    section: BackboneSection, start: Start | None, seed: int
) -> tuple[Backbone, dict[str, Any] | None]:
    """The backbone before its first step, and the record of what its start filled (None from scratch).

    Raises:
        UserError: the start is not of this architecture, or the image size doesn't fit it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = build(section.name)
    backbone.check_size(section.image_size)
    if start is None:
        return backbone, None
    report = fill(backbone, start.state, start.source, whole=start.whole)
    say(f"backbone: start {start.source} fills {report.summary()}")
    return backbone, report_json(report)
