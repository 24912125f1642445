"""A registered detector's certificate, of a project's labelled images."""

from cluster.stages import Artifact
from pipelines.corpus import build_labelled
from training.certificate import Certified, certify_detector
from training.pipeline import Pipeline


def certificate_of(pipeline: Pipeline, certified: Certified) -> Artifact:
    """A registered detector judged on the labelled images of the test part, as one page.

    Args:
        pipeline: the project's stages; the corpus is made where it is not complete.
        certified: the version.

    Raises:
        UserError: see `certify_detector`.
    """
    data, project, site = pipeline.project.finetune.data, pipeline.seeded, pipeline.site
    labelled = pipeline.corpus if data is None else build_labelled(data, site=site)
    limit = (pipeline.corpus_section if data is None else data).near_duplicate_distance
    return certify_detector(
        project.certify, project.predict, certified, site=site, labelled=labelled, limit=limit
    )
