"""The finetune stage: one start, one training on the real labels of the training split."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.errors import UserError, nearest
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from training.detector_training import WEIGHTS_FILE, train_detector, training_results
from training.detectors import Detector
from training.finetune import AGBP, AGSSP, SCRATCH, FinetuneSection, select
from training.scaling import ScalingSection
from training.start import filled_detector, fresh_detector, report_json
from training.weights import load_weights


def finetune(
    section: FinetuneSection,
    *,
    start: str,
    scaling: ScalingSection,
    workspace: Storage,
    pipeline: PipelineRun,
    corpus: Artifact,
    backbone: Artifact | None,
    detector: Artifact | None,
) -> Artifact:
    """Finetune from one start; images, seed and schedule are the same for every start.

    The test split is not read: the best epoch is chosen on a slice of the training split. Writes
    `detector.safetensors` and `history.parquet`.

    Args:
        section: the config.
        start: `scratch`, `agbp`, `agssp`, or a name of `section.weights`.
        scaling: workers; decides no result.
        corpus: its labels are learnt.
        backbone: for `agbp`.
        detector: for `agssp`.

    Raises:
        UserError: unknown start, no labels, or weights of another architecture.
    """
    inputs = {"corpus": corpus}
    extra: dict[str, str] = {}
    if start == AGBP and backbone is not None:
        inputs["backbone"] = backbone
    elif start == AGSSP and detector is not None:
        inputs["detector"] = detector
    elif start in section.weights:
        extra["weights"] = file_digest(section.weights[start])
    elif start != SCRATCH:
        valid = (SCRATCH, AGBP, AGSSP, *section.weights)
        raise UserError(f'Start "{start}" has nothing to start from; {nearest(start, valid)}')
    lineage = {name: artifact.fingerprint for name, artifact in inputs.items()} | extra

    def body(bench: Workbench) -> Mapping[str, Any]:
        manifest = corpus.directory.read_table("manifest").to_pylist()
        selection = select(section, manifest, read_labels(corpus))
        model, transferred = _started(section, start, selection.classes, inputs)
        result = train_detector(
            model,
            bench,
            train=selection.train,
            held_out=selection.validation,
            augment=section.augment,
            loop=section.loop,
            freeze_backbone=section.freeze == "backbone",
            scaling=scaling,
            lineage=lineage,
            title=f"finetune: from {start}",
        )
        return {
            "start": start,
            **selection.counts(),
            **training_results(result),
            "class_names": list(selection.classes),
            "transfer": transferred,
        }

    return ensure(
        "finetune",
        workspace=workspace,
        pipeline=pipeline,
        config={"start": start, **section.model_dump(mode="json", exclude={"starts", "weights", "data"})},
        revision=2,  # few shots by what images show
        inputs=inputs,
        extra=extra,
        body=body,
    )


def read_labels(corpus: Artifact) -> dict[str, list[dict[str, Any]]]:
    """image_id → its labelled boxes; an empty list for a normal image."""
    table = corpus.directory.read_table("labels.parquet", columns=["image_id", "boxes"])
    return {row["image_id"]: row["boxes"] for row in table.to_pylist()}


def file_digest(path: str) -> str:
    """Sha256 (hex) of a local file.

    Raises:
        UserError: it can't be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"Weights file {path} can't be read ({error.strerror}); correct finetune.weights."
        ) from None


def _started(
    section: FinetuneSection, start: str, classes: tuple[str, ...], inputs: Mapping[str, Artifact]
) -> tuple[Detector, dict[str, Any] | None]:
    """The detector before its first step, and the record of what was filled (None from scratch)."""
    seed = section.loop.seed or 0
    if start == SCRATCH:
        return fresh_detector(section.name, classes, section.preprocessing, seed), None
    if start in section.weights:
        source = section.weights[start]
        state, metadata = load_weights(Path(source))
    else:
        name, file = ("backbone", "backbone.safetensors") if start == AGBP else ("detector", WEIGHTS_FILE)
        source = f"{inputs[name].directory.uri}/{file}"
        with inputs[name].directory.local_copy(file) as path:
            state, metadata = load_weights(path)
    model, report = filled_detector(
        section.name,
        classes,
        section.preprocessing,
        seed,
        state=state,
        metadata=metadata,
        source=f"Start {source}",
    )
    return model, report_json(report)
