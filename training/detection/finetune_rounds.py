"""Finetuning in rounds: each detector's sure detections are labels of the next one's training."""

from cluster.stages import Artifact
from training.detection.finetune_stage import finetune_detector
from training.detection.pseudo_labels_stage import make_pseudo_labels, require_unlabelled
from training.detection.section import FinetuneSection
from training.loop import TrainingSite
from training.prediction import PredictSection


def finetune_in_rounds(
    section: FinetuneSection,
    predict: PredictSection,
    *,
    start: str,
    site: TrainingSite,
    labelled: Artifact,
    corpus: Artifact | None,
    backbone: Artifact | None,
    detector: Artifact | None,
) -> Artifact:
    """The detector of the last round (docs/method.md#self-training).

    Args:
        section: the finetuning's config.
        predict: workers that look for defects between rounds; they change no result.
        start, site, backbone, detector: see `finetune_detector`.
        labelled: artifact with the labels that are learnt.
        corpus: artifact of the corpus whose images may lack labels; None for one round.

    Raises:
        UserError: see `finetune_detector`, `make_pseudo_labels` and `require_unlabelled`.
    """
    if section.rounds > 1:
        assert corpus is not None  # else a further round would be the first again, without a word
        require_unlabelled(section, workspace=site.workspace, corpus=corpus, labelled=labelled)
    finetuned = pseudo_labels = None
    for number in range(1, section.rounds + 1):
        if finetuned is not None:
            assert corpus is not None
            pseudo_labels = make_pseudo_labels(
                predict,
                site=site,
                corpus=corpus,
                labelled=labelled,
                finetuned=finetuned,
                trained=section,
            )
        finetuned = finetune_detector(
            section,
            start=start,
            site=site,
            corpus=labelled,
            backbone=backbone,
            detector=detector,
            pseudo_labels=pseudo_labels,
            number=number,
        )
    assert finetuned is not None
    return finetuned
