"""The stages before any detector: images, their maps with the maps' own head, pseudo-boxes.

A stage's code is imported when the stage is asked for: the corpus needs no PyTorch.
"""

from functools import cached_property

from cluster.stages import Artifact, Site
from pipelines.corpus import CorpusImages, CorpusSection, build_corpus
from pipelines.maps import MapsSection
from training.inputs import read_listing
from training.loop import TrainingSite
from training.project import Project


class DataPipeline:
    """The stages of one project up to its pseudo-boxes; each makes its artifact or finds it complete.

    Args:
        project: the config.
        site: workspace and tracking run; the project says which workers train there.
    """

    def __init__(self, project: Project, site: Site) -> None:
        self.project, self.seeded = project, project.seeded()
        self.site = TrainingSite(site.workspace, site.run, project.scaling)

    @cached_property
    def surfaces(self) -> Artifact | None:
        """Generated surfaces, where the project asks for them."""
        from pipelines.surfaces import generate_surfaces

        section = self.project.generate
        if section is None:
            return None
        return generate_surfaces(section, site=self.site)

    @property
    def corpus_section(self) -> CorpusSection:
        """The corpus' config; with generated surfaces its root is their folder."""
        if self.surfaces is None:
            return self.project.corpus
        root = f"{self.surfaces.directory.uri}/images"
        return self.project.corpus.model_copy(update={"root": root, "layout": "masks"})

    @cached_property
    def corpus(self) -> Artifact:
        """Manifest, labels and quarantine."""
        section = self.corpus_section
        images = CorpusImages(read_listing(section, None), made_by=self.surfaces)
        return build_corpus(section, images, site=self.site)

    @cached_property
    def head(self) -> Artifact:
        """The trained head of the maps' method."""
        from training.heads import train_head

        return train_head(self.seeded.heads, self.project.maps, site=self.site, corpus=self.corpus)

    @property
    def trains_head(self) -> bool:
        """Whether the maps' head is trained here: it learns without labels, and none is named."""
        return self.project.maps.method == "painted" and self.project.maps.head is None

    @cached_property
    def maps_section(self) -> MapsSection:
        """The maps' config, with the head that is trained here."""
        section = self.project.maps
        if not self.trains_head:
            return section
        from pipelines.heads import HEAD_FILE

        return section.with_head(self.head.directory.uri_of(HEAD_FILE))

    @cached_property
    def maps(self) -> Artifact:
        """Anomaly maps of every image."""
        from pipelines.maps import make_maps

        return make_maps(
            self.maps_section,
            site=self.site,
            corpus=self.corpus,
            head=self.head if self.trains_head else None,
        )

    @cached_property
    def map_quality(self) -> Artifact:
        """Image and pixel AUROC of the maps on the held-out images, where masks exist."""
        from pipelines.maps import evaluate_maps

        return evaluate_maps(site=self.site, corpus=self.corpus, maps=self.maps)

    @cached_property
    def audit(self) -> Artifact:
        """Every rule of boxes on defects painted onto the user's own images."""
        from pipelines.audit import AuditInputs, audit_boxes

        project = self.seeded
        inputs = AuditInputs(project.audit, project.boxes.settings, self.maps_section)
        return audit_boxes(inputs, site=self.site, corpus=self.corpus, maps=self.maps)

    @cached_property
    def boxes(self) -> Artifact:
        """Pseudo-boxes of the pretraining images."""
        from pipelines.boxes import derive_boxes

        return derive_boxes(
            self.project.boxes,
            site=self.site,
            corpus=self.corpus,
            maps=self.maps,
            audit=self.audit if self.project.boxes.rule == "auto" else None,
        )

    @cached_property
    def embeddings(self) -> Artifact:
        """The encoder's embedding of every pretraining image."""
        from pipelines.choice import embed_images

        return embed_images(self.project.maps, site=self.site, corpus=self.corpus)
