"""The finetune stage: one start, one training on the real labels of the training split."""

from collections.abc import Mapping
from typing import Any

from cluster.errors import UserError, nearest
from cluster.progress import say
from cluster.stages import Artifact, Workbench, ensure
from pipelines.tables import CorpusTables
from training.detection.finetune import select
from training.detection.section import FinetuneSection
from training.detection.training import BoxTraining, train_detector, training_results
from training.loop import TrainingSite
from training.models.detectors import Detector
from training.starts import (
    AGBP,
    AGSSP,
    BACKBONE_FILE,
    SCRATCH,
    WEIGHTS_FILE,
    Start,
    filled_detector,
    fresh_detector,
    report_json,
    resolve_start,
    start_of_artifact,
)


def finetune_detector(
    section: FinetuneSection,
    *,
    start: str,
    site: TrainingSite,
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
        site: workspace, tracking run and workers.
        corpus: the corpus whose labels are learnt.
        backbone: the backbone stage's artifact, for `agbp`.
        detector: the detector stage's artifact, for `agssp`.

    Raises:
        UserError: unknown start, no labels, or weights of another architecture.
    """
    inputs = {"corpus": corpus}
    extra: dict[str, str] = {}
    start_weights = None
    if start == AGBP and backbone is not None:
        inputs["backbone"] = backbone
    elif start == AGSSP and detector is not None:
        inputs["detector"] = detector
    elif start in section.given:
        start_weights = resolve_start(section.given[start], section.name, lambda: site.run.tracker)
        extra["weights"] = start_weights.digest
    elif start != SCRATCH:
        valid = (SCRATCH, AGBP, AGSSP, *section.given)
        raise UserError(f'Start "{start}" has nothing to start from; {nearest(start, valid)}')
    lineage = {name: artifact.fingerprint for name, artifact in inputs.items()} | extra

    def body(bench: Workbench) -> Mapping[str, Any]:
        tables = CorpusTables(corpus.directory)
        selection = select(section, tables.manifest(), tables.boxes(), tables.ignored())
        model, transferred = _started(section, start, selection.classes, inputs, start_weights)
        result = train_detector(
            model,
            bench,
            BoxTraining(
                train=selection.train,
                held_out=selection.validation,
                augment=section.augment,
                loop=section.loop,
                freeze=section.freeze,
                masks=section.masks,
                cut=section,
                empty_share=section.background_share,
            ),
            scaling=site.scaling,
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
        site=site,
        config={"start": start, **section.model_dump(mode="json", exclude={"starts", "weights", "data"})},
        # Metrics: boxes outside the image take no place among the best; strips are averaged.
        revision=4,
        inputs=inputs,
        extra=extra,
        body=body,
    )


def _started(
    section: FinetuneSection,
    start: str,
    classes: tuple[str, ...],
    inputs: Mapping[str, Artifact],
    start_weights: Start | None,
) -> tuple[Detector, dict[str, Any] | None]:
    """The detector before its first step, and the record of what was filled (None from scratch)."""
    seed = section.loop.resolved_seed
    if start == SCRATCH:
        return fresh_detector(section.name, classes, section.preprocessing, seed), None
    if start_weights is None:
        name, file = ("backbone", BACKBONE_FILE) if start == AGBP else ("detector", WEIGHTS_FILE)
        start_weights = start_of_artifact(inputs[name], file)
    model, report = filled_detector(
        section.name,
        classes,
        section.preprocessing,
        seed,
        state=start_weights.state,
        metadata=start_weights.metadata,
        source=f"Start {start_weights.source}",
        whole=start_weights.whole,
    )
    say(f"finetune: start {start_weights.source} fills {report.summary()}")
    return model, report_json(report)
