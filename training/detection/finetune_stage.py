"""The finetune stage: one start, one training on the real labels of the training split."""

from collections.abc import Mapping
from typing import Any

from cluster.errors import UserError, nearest
from cluster.progress import say
from cluster.stages import Artifact, Workbench, ensure
from pipelines.tables import CorpusTables
from training.detection.finetune import Selection, select
from training.detection.pseudo_labels_stage import PSEUDO_LABELS_FILE
from training.detection.section import FinetuneSection
from training.detection.self_training import PseudoLabelled, pseudo_labelled
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
    pseudo_labels: Artifact | None = None,
    number: int = 1,
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
        pseudo_labels: what the detector of the round before finds; None in the first round.
        number: the round, from 1.

    Raises:
        UserError: unknown start, no labels, weights of another architecture, or no sure detection to learn.
    """
    inputs = {"corpus": corpus}
    config = {"start": start, **section.deciding}
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
    title = f"finetune: from {start}"
    if pseudo_labels is not None:
        inputs["pseudo_labels"] = pseudo_labels
        config["sure"] = section.sure
        title += f", round {number} of {section.rounds}"
    lineage = {name: artifact.fingerprint for name, artifact in inputs.items()} | extra

    def body(bench: Workbench) -> Mapping[str, Any]:
        tables = CorpusTables(corpus.directory)
        selection = select(section, tables.manifest(), tables.boxes(), tables.ignored())
        further = PseudoLabelled()
        if pseudo_labels is not None:
            further = _pseudo_labelled(section, pseudo_labels, selection, number)
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
                drawn=further.samples,
            ),
            scaling=site.scaling,
            lineage=lineage,
            title=title,
        )
        return {
            "start": start,
            **selection.counts(),
            **({"round": number, **further.counts()} if pseudo_labels is not None else {}),
            **training_results(result),
            "class_names": list(selection.classes),
            "transfer": transferred,
        }

    return ensure(
        "finetune",
        site=site,
        config=config,
        # Metrics: boxes outside the image take no place among the best; strips are averaged.
        revision=4,
        inputs=inputs,
        extra=extra,
        body=body,
    )


def _pseudo_labelled(
    section: FinetuneSection, pseudo_labels: Artifact, selection: Selection, number: int
) -> PseudoLabelled:
    """What a further round learns beside the labels; says how much that is.

    Raises:
        UserError: nothing sure.
    """
    rows = pseudo_labels.directory.read_table(PSEUDO_LABELS_FILE).to_pylist()
    taken = frozenset(sample.image_id for sample in (*selection.train, *selection.validation))
    further = pseudo_labelled(rows, taken, selection.classes, section.sure)
    if not further.learnt:
        raise UserError(
            f"On {len(further.samples)} images without labels round {number - 1} finds nothing with a score "
            f"of {section.sure:g} or more, so there is nothing to learn in the next; set finetune.rounds=1, "
            "lower finetune.sure, or raise finetune.loop.epochs."
        )
    say(
        f"finetune: of what round {number - 1} finds on {len(further.samples)} images without labels, "
        f"{further.learnt} boxes are learnt and {further.hidden} doubtful regions hidden"
    )
    return further


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
