"""A project's finetuned detector as a version in the model registry, with the stages that it came from."""

from cluster.stages import Artifact
from training.export import register_detector
from training.pipeline import Pipeline
from training.starts import AGBP, AGSSP


def registered_of(pipeline: Pipeline) -> Artifact:
    """Register the product's detector; what of it is not there yet is made, and no pretraining beside it.

    Args:
        pipeline: the project's stages.
    """
    start = pipeline.product
    finetuned, evaluated = pipeline.finetuned(start), pipeline.evaluated(start)
    return register_detector(
        pipeline.project.name,
        site=pipeline.site,
        detector_name=pipeline.project.finetune.name,
        finetuned=finetuned,
        evaluated=evaluated,
        ancestors=ancestors_of(pipeline, start),
    )


def ancestors_of(pipeline: Pipeline, start: str) -> dict[str, Artifact]:
    """The stages before the finetuning from a start, by name: none that it has no part in.

    Of AGSSP those of a whole run, so that `agssp run` and `agssp register` enter one version.
    """
    if start == AGSSP:
        return pipeline.pretraining().named()
    if start == AGBP:
        made = pipeline.sources(AGBP)
    else:
        made = {} if pipeline.project.finetune.data is not None else {"corpus": pipeline.corpus}
    if pipeline.project.finetune.data is not None:
        made["labels"] = pipeline.labelled
    if "corpus" in made and pipeline.surfaces is not None:
        made = {"surfaces": pipeline.surfaces, **made}
    return made
