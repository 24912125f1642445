"""The stage that writes a corpus of generated surfaces, so that a demo needs no data."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.surfaces.generator import write_corpus
from pipelines.surfaces.section import GenerateSection

IMAGES = "images"


def generate_surfaces(section: GenerateSection, *, site: Site) -> Artifact:
    """Write the generated images with masks below `images/` of the artifact (layout `masks`)."""

    def body(bench: Workbench) -> Mapping[str, Any]:
        if bench.directory.is_local:
            return write(Path(bench.directory.path) / IMAGES)
        with tempfile.TemporaryDirectory() as folder:
            counts = write(Path(folder))
            bench.directory.put(Path(folder), IMAGES)
        return counts

    def write(folder: Path) -> Mapping[str, Any]:
        write_corpus(
            folder,
            seed=section.seed,
            images_per_category=section.images_per_category,
            size=section.size,
            defect_share=section.defect_share,
            categories=list(section.categories) if section.categories is not None else None,
            defects=section.defects,
            lines=section.lines,
        )
        return {"files": sum(1 for path in folder.rglob("*.png"))}

    return ensure(
        "surfaces",
        site=site,
        config=section.deciding,
        inputs={},
        body=body,
    )
