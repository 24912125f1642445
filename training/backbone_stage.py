"""The backbone stage: AGBP on Ray Train, from the corpus and its anomaly maps."""

from collections.abc import Mapping
from functools import partial
from typing import Any

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
from training.backbone_file import BACKBONE_FILE, save_backbone
from training.backbones import SCRATCH, Backbone, build, fill
from training.fit import FitResult, fit
from training.loop import Row
from training.pretrain_data import PretrainImages, held_out_count, read_pretrain_images
from training.scaling import ScalingSection
from training.start import report_json
from training.starts import Start, resolve_start

HISTORY_FILE = "history.parquet"
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

    Writes `backbone.safetensors` (the library's keys; metadata: architecture, preprocessing, lineage) and
    `history.parquet`.

    Args:
        section: the config.
        scaling: workers; decides no result.
        workspace, pipeline: where the artifact and the tracking run go.
        corpus, maps: the stages' artifacts.

    Raises:
        UserError: the start can't be used, too few images, or nothing to learn.
    """
    start = None
    if section.start != SCRATCH:
        start = resolve_start(section.start, section.name, lambda: pipeline.tracker)
    digest_of_start = start.digest if start else SCRATCH

    def body(bench: Workbench) -> Mapping[str, Any]:
        seed = section.loop.seed or 0
        images = read_pretrain_images(corpus.directory, maps.directory)
        _check_task(section, images)
        backbone, filled = started(section, start, seed)
        lineage = {"corpus": corpus.fingerprint, "maps": maps.fingerprint, "start": digest_of_start}
        keep = partial(save_backbone, image_size=section.image_size, lineage=lineage)
        keep(backbone, bench.directory, START_FILE)
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
        backbone_weights(result.state_dict, backbone)
        keep(backbone, bench.directory, BACKBONE_FILE)
        bench.directory.write_table(HISTORY_FILE, result.table())
        with bench.directory.local_copy(BACKBONE_FILE) as path:
            bench.run.log_file(path, "weights")
        bench.directory.delete(TRAINING)  # checkpoints serve a resumed training only
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
        workspace=workspace,
        pipeline=pipeline,
        config=section.model_dump(mode="json", exclude={"start"}),  # its content decides, not its path
        inputs={"corpus": corpus, "maps": maps},
        extra={"start": digest_of_start},
        body=body,
    )


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
    return {name: value for name, value in row.items() if name.startswith(("similarity", "correlation"))}


def _check_task(section: BackboneSection, images: PretrainImages) -> None:
    """Say, or refuse, what a single category means."""
    if len(images.names) > 1:
        return
    only = f'all images are of one category, "{images.names[0]}"'
    if section.lam == 0:
        raise UserError(
            f"There is nothing to learn: {only}, and backbone.lam=0 turns distillation off; set it to auto."
        )
    lam = "; λ = 1" if section.lam == "auto" else ""
    say(f"backbone: {only}: nothing to classify, so the anomaly maps alone teach{lam}")


def started(
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
