"""The images to label first, of a project's stages and, where one is given, of a detector."""

from typing import TYPE_CHECKING

from cluster.stages import Artifact
from pipelines.boxes import CLASS_NAME
from pipelines.choice import ChoiceSources, PreAnnotations, choose_images, refuse_without_images
from training.pipeline import Pipeline

if TYPE_CHECKING:
    from training.starts import ModelSource


def next_images(pipeline: Pipeline, model: "ModelSource | None" = None) -> Artifact:
    """Choose the images to label first; a detector's disagreement with the maps counts where one is given.

    Args:
        pipeline: the project's stages; those that the choice reads are made where they are not complete.
        model: the detector.

    Raises:
        UserError: nothing is left to label, which is told before maps are made.
    """
    project, site = pipeline.project, pipeline.site
    elsewhere = None if pipeline.own_labelled is pipeline.corpus else pipeline.own_labelled
    limit = pipeline.corpus_section.near_duplicate_distance
    refuse_without_images(pipeline.corpus, elsewhere, limit)
    sources = ChoiceSources(pipeline.corpus, pipeline.maps, pipeline.embeddings, elsewhere, limit)
    predictions = None
    if model is not None:
        from training.prediction import predict_images

        section = project.predict.model_copy(update={"draw": False})
        predictions = predict_images(section, files=sources.listing(), model=model, site=site)
    shown = PreAnnotations(pipeline.boxes, CLASS_NAME, predictions)
    return choose_images(project.next, project.seed, sources, shown, site=site)
