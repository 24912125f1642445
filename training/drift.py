"""Whether new images are still those of a project's corpus: its stages, and the drift that they tell."""

from typing import TYPE_CHECKING

import pyarrow as pa

from cluster.stages import Artifact
from pipelines.corpus import listing_digest
from pipelines.drift import DriftSources, as_files, corpus_images, find_drift, fingerprint, new_images
from training.pipeline import Pipeline

if TYPE_CHECKING:
    from training.starts import ModelSource


def drift_of(
    pipeline: Pipeline, files: pa.Table, *, category: str | None = None, model: "ModelSource | None" = None
) -> Artifact:
    """Whether new images are still those of the corpus; with a detector, what it finds counts too.

    Args:
        pipeline: the project's stages; those that are read are made where they are not complete.
        files: table from `find_images`.
        category: the images' category; None where the corpus has one.
        model: a detector; only held-out images of the corpus are compared then.

    Raises:
        UserError: see `corpus_images`, `fingerprint` and `find_drift`.
    """
    project, site = pipeline.project, pipeline.site
    section, seed = project.drift, project.seed
    # A detector and a head are surer on what they learnt from.
    held_out = model is not None or pipeline.trains_head
    compared = corpus_images(pipeline.corpus, category, held_out=held_out, most=section.images, seed=seed)
    rows = new_images(files, compared.levels, most=section.images, seed=seed)
    inputs = {"corpus": pipeline.corpus} | ({"head": pipeline.head} if pipeline.trains_head else {})
    old, new = (
        fingerprint(listed, states, pipeline.maps_section, compared, site=site, inputs=inputs)
        for listed, states in ((compared.rows, ""), (rows, listing_digest(files)))
    )
    predictions = None
    if model is not None:
        from training.prediction import predict_images

        predict = project.predict.model_copy(update={"draw": False})
        listed = as_files([*compared.rows, *rows], files)
        predictions = predict_images(predict, files=listed, model=model, site=site)
    limit = pipeline.corpus_section.near_duplicate_distance
    sources = DriftSources(compared, old, new, predictions, limit, seed)
    return find_drift(section, sources, site=site)
